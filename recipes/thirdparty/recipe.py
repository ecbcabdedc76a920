"""The third-party recipe of one App: its chains, its providers and their documents."""

from __future__ import annotations

from typing import Any

from ...claims.payload import UserContext
from ...claims.recipe_user_id import RecipeUserId
from ...sessions.refresh_token import DEFAULT_TENANT
from ..chain.operation import place_of
from ..exceptions import ConfigurationError, OverrideError
from ..kit.recipe import Recipe, ThirdPartyProvider
from ..kit.services import Services
from .config import ProviderInput, ThirdPartyConfig
from .http import ProviderDocuments, ProviderHTTP
from .interface import (
    API_ORDERS,
    FUNCTION_ORDERS,
    APIInterface,
    APIOptions,
    ManuallyCreateOrUpdateUserOkResult,
    RecipeInterface,
)
from .provider import ClientTypeNotFoundError, Provider, config_for_client


class ThirdPartyRecipe(Recipe[RecipeInterface, APIInterface]):
    """The third-party recipe of one App."""

    recipe_id = "thirdparty"
    interfaces = (RecipeInterface, APIInterface)
    orders = (FUNCTION_ORDERS, API_ORDERS)
    options_class = APIOptions
    first_factors = ("thirdparty",)
    test_rank = 1
    config: ThirdPartyConfig

    def __init__(self, app: Services, config: ThirdPartyConfig) -> None:
        super().__init__(app, config)
        self._documents = {given.config.third_party_id: self._new_documents(given) for given in config.providers}
        for given in config.providers:
            self._check(given)

    def option_values(self) -> dict[str, Any]:
        """Return the fields of the options that are the same for every request."""
        return {**super().option_values(), "providers": self.config.providers}

    async def provider(
        self, third_party_id: str, client_type: str | None, tenant_id: str, user_context: UserContext
    ) -> Provider | None:
        """Return a provider for one request; None if the tenant does not offer it; ClientTypeNotFoundError."""
        for given in self._offered_providers(tenant_id):
            if given.config.third_party_id == third_party_id:
                provider = self._new_provider(given)
                provider.config = await provider.get_config_for_client_type(client_type, user_context)
                return provider
        return None

    async def login_providers(
        self, tenant_id: str, client_type: str | None, user_context: UserContext
    ) -> list[ThirdPartyProvider]:
        """Return the providers for the sign-in page of a tenant: those with a client of the type."""
        listed: list[ThirdPartyProvider] = []
        for given in self._offered_providers(tenant_id):
            third_party_id = given.config.third_party_id
            try:
                provider = await self.functions.get_provider(third_party_id, client_type, tenant_id, user_context)
            except ClientTypeNotFoundError:
                continue
            if provider is not None:
                listed.append(ThirdPartyProvider(provider.id, provider.config.name))
        return listed

    async def test_login_method(self, tenant_id: str, email: str, *, subject: str, verified: bool) -> RecipeUserId:
        """Create a login method of the first provider; ConfigurationError if there is none, or an override refuses."""
        if not self.config.providers:
            raise ConfigurationError(f"this App cannot create a user for {email}: thirdparty.init has no providers")
        if not subject:
            raise ConfigurationError(f"{email!r} is not an e-mail address")
        signed_up = await self.functions.manually_create_or_update_user(
            self.config.providers[0].config.third_party_id, subject, email, verified, None, False, tenant_id, {}
        )
        if isinstance(signed_up, ManuallyCreateOrUpdateUserOkResult):
            return signed_up.recipe_user_id
        raise ConfigurationError(f"{email} could not be signed up: {signed_up!r}")

    def _offered_providers(self, tenant_id: str) -> list[ProviderInput]:
        providers = self.config.providers
        return [one for one in providers if tenant_id == DEFAULT_TENANT or one.include_in_non_public_tenants_by_default]

    def _new_provider(self, given: ProviderInput) -> Provider:
        endpoint = given.browser_endpoint
        if endpoint is not None and endpoint.startswith("/"):
            endpoint = self.app.info.api_domain + endpoint
        provider = Provider(given, self._documents[given.config.third_party_id], endpoint)
        if given.override is None:
            return provider
        returned = given.override(provider)
        if not isinstance(returned, Provider):
            place = place_of(given.override)
            message = f"the override of the provider {provider.id} returned {returned!r}: it has to return a provider"
            raise OverrideError(message, file=place.file, line=place.line)
        return returned

    def _new_documents(self, given: ProviderInput) -> ProviderDocuments:
        third_party_id, unsafe = given.config.third_party_id, self.app.unsafe_for_tests
        if given.unsafe_for_tests and not unsafe:
            raise ConfigurationError(
                f"the provider {third_party_id!r} is a stub, at which anybody can sign in as anybody: for tests, pass "
                "unsafe_for_tests=True to the App"
            )
        return ProviderDocuments(ProviderHTTP(third_party_id, given.transport, allow_http=unsafe))

    def _check(self, given: ProviderInput) -> None:
        """Make the provider and the configuration of each client once, so that a mistake is an error now."""
        self._new_provider(given)
        # An override may add missing values at run time.
        for client in given.config.clients if given.override is None else ():
            config_for_client(given.config, client.client_type)
