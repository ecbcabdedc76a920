"""The third-party recipe at work in one App: its chains, its providers and what is remembered of their documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...claims.payload import UserContext
from ..chain.chain import Chain
from ..chain.operation import place_of
from ..exceptions import ConfigurationError, OverrideError
from ..kit.recipe import Recipe, ThirdPartyProvider
from .config import ProviderInput, ThirdPartyConfig
from .http import ProviderDocuments, ProviderHTTP
from .interface import APIInterface, RecipeInterface
from .provider import ClientTypeNotFoundError, Provider, config_for_client

if TYPE_CHECKING:
    from ..app import App
    from ..kit.routing import Route

DEFAULT_TENANT = "public"


class ThirdPartyRecipe(Recipe[RecipeInterface]):
    """The third-party recipe of one App."""

    recipe_id = "thirdparty"
    first_factors = ("thirdparty",)

    def __init__(self, app: App, config: ThirdPartyConfig, routes: tuple[Route, ...]) -> None:
        super().__init__(app, config, routes)
        self.config: ThirdPartyConfig = config
        self._documents = {given.config.third_party_id: self._begin(given) for given in config.providers}
        for given in config.providers:
            self._try(given)

    def finish(self, functions: Chain[RecipeInterface], apis: Chain[APIInterface]) -> None:
        """Apply the application's overrides; from here on `functions` and `apis` are the tops of the chains."""
        self.add_chain(functions, self.config.override.functions)
        self.add_chain(apis, self.config.override.apis)
        self.functions = functions.top
        self.apis: APIInterface = apis.top

    async def provider(
        self, third_party_id: str, client_type: str | None, tenant_id: str, user_context: UserContext
    ) -> Provider | None:
        """Return a provider for one request; None if the tenant does not offer it, an error without such a client."""
        for given in self._offered(tenant_id):
            if given.config.third_party_id == third_party_id:
                provider = self._made(given)
                provider.config = await provider.get_config_for_client_type(client_type, user_context)
                return provider
        return None

    async def login_providers(
        self, tenant_id: str, client_type: str | None, user_context: UserContext
    ) -> list[ThirdPartyProvider]:
        """Return the providers that the sign-in page of a tenant shows: those with a client of the type."""
        listed: list[ThirdPartyProvider] = []
        for given in self._offered(tenant_id):
            third_party_id = given.config.third_party_id
            try:
                provider = await self.functions.get_provider(third_party_id, client_type, tenant_id, user_context)
            except ClientTypeNotFoundError:
                continue
            if provider is not None:
                listed.append(ThirdPartyProvider(provider.id, provider.config.name))
        return listed

    def _offered(self, tenant_id: str) -> list[ProviderInput]:
        providers = self.config.providers
        return [one for one in providers if tenant_id == DEFAULT_TENANT or one.include_in_non_public_tenants_by_default]

    def _made(self, given: ProviderInput) -> Provider:
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

    def _begin(self, given: ProviderInput) -> ProviderDocuments:
        third_party_id, unsafe = given.config.third_party_id, self.app.unsafe_for_tests
        if given.unsafe_for_tests and not unsafe:
            raise ConfigurationError(
                f"the provider {third_party_id!r} is a stub, at which anybody can sign in as anybody: for tests, pass "
                "unsafe_for_tests=True to the App"
            )
        return ProviderDocuments(ProviderHTTP(third_party_id, given.transport, allow_http=unsafe))

    def _try(self, given: ProviderInput) -> None:
        """Make the provider once, and each client's configuration, so that a mistake is found now."""
        self._made(given)
        # An override may supply at run time what is missing here.
        for client in given.config.clients if given.override is None else ():
            config_for_client(given.config, client.client_type)
