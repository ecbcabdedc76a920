"""A session as an application uses it, awaitable and (under `sync`) plain, and what its tokens say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from starlette.requests import Request

from ...claims.claim import SessionClaim
from ...claims.payload import PROTECTED, JSONObject, UserContext, changed, copied, merged, without_protected
from ...claims.recipe_user_id import RecipeUserId
from ...claims.validator import ClaimsValidationResult, SessionClaimValidator
from ...sessions.access_token import read_unverified
from ...sessions.exceptions import InvalidClaimsError, UnauthorisedError
from ...sessions.session import EngineSession, TokenInfo, front_token
from ..kit.request import AnyRequest, as_request, set_session
from ..kit.services import synced
from .config import TransferMethod
from .results import RegenerateAccessTokenOkResult, SessionInformationResult
from .transport import Transport

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(slots=True)
class ReqResInfo:
    """The request a session is attached to, and how its tokens travel."""

    request: Request
    transfer_method: TransferMethod


class Functions(Protocol):
    """The functions of the session recipe that a session calls."""

    async def validate_claims(
        self,
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: JSONObject,
        claim_validators: list[SessionClaimValidator],
        user_context: UserContext,
    ) -> ClaimsValidationResult:
        """Refetch the claims that need it, and run every validator."""
        ...

    async def revoke_session(self, session_handle: str, user_context: UserContext) -> bool:
        """End a session."""
        ...

    async def get_session_information(
        self, session_handle: str, user_context: UserContext
    ) -> SessionInformationResult | None:
        """Return what is stored about a session."""
        ...

    async def update_session_data_in_database(
        self, session_handle: str, new_session_data: JSONObject | None, user_context: UserContext
    ) -> bool:
        """Replace the data stored with a session."""
        ...

    async def regenerate_access_token(
        self, access_token: str, new_access_token_payload: JSONObject | None, user_context: UserContext
    ) -> RegenerateAccessTokenOkResult | None:
        """Store a new payload and sign an access token with it."""
        ...


_TransportOf = Callable[[Request, UserContext], Transport]


class SessionContainer:
    """One verified session: its ids, its payload, its tokens, and what can be done with them.

    `session["name"]` reads an attribute. Code that cannot await has every async method under `sync`
    (`session.sync.revoke_session()`), and under a name of its own (`session.sync_revoke_session()`).
    """

    __slots__ = (
        "_functions",
        "_payload",
        "_tokens",
        "_transport_of",
        "access_token",
        "access_token_updated",
        "req_res_info",
    )

    def __init__(self, functions: Functions, transport_of: _TransportOf, tokens: EngineSession) -> None:
        self._functions = functions
        self._transport_of = transport_of
        self._tokens = tokens
        self._payload: Mapping[str, Any] = tokens.payload
        self.access_token = tokens.access_token
        self.access_token_updated = tokens.updated
        self.req_res_info: ReqResInfo | None = None

    @property
    def sync(self) -> PlainSession:
        """The same session for code that cannot await."""
        return PlainSession(self)

    # What the tokens say

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_handle} of user {self.user_id}>"

    @property
    def session_handle(self) -> str:
        """The id of the session, constant over refreshes."""
        return self._tokens.handle

    @property
    def user_id(self) -> str:
        """The primary id of the user."""
        return self._tokens.user_id

    @property
    def recipe_user_id(self) -> RecipeUserId:
        """The id of the login method the session was created with."""
        return RecipeUserId(self._tokens.recipe_user_id)

    @property
    def tenant_id(self) -> str:
        """The tenant the session lives in."""
        return self._tokens.tenant_id

    @property
    def refresh_token(self) -> TokenInfo | None:
        """The refresh token, only just after it was issued."""
        return self._tokens.refresh_token

    @property
    def anti_csrf_token(self) -> str | None:
        """The anti-CSRF token, None where the session has none."""
        return self._tokens.anti_csrf_token

    @property
    def front_token(self) -> str:
        """The copy of the payload that JavaScript reads (docs/protocol.md, section 4)."""
        return front_token(self._payload)

    @property
    def user_data_in_access_token(self) -> JSONObject:
        """A copy of the access token's payload, as `get_access_token_payload` returns it."""
        return copied(self._payload)

    def get_user_id(self, user_context: UserContext | None = None) -> str:
        """Return the primary id of the user."""
        return self._tokens.user_id

    def get_recipe_user_id(self, user_context: UserContext | None = None) -> RecipeUserId:
        """Return the id of the login method the session was created with."""
        return self.recipe_user_id

    def get_tenant_id(self, user_context: UserContext | None = None) -> str:
        """Return the tenant the session lives in."""
        return self._tokens.tenant_id

    def get_access_token_payload(self, user_context: UserContext | None = None) -> JSONObject:
        """Return a copy of the access token's payload: claims, and the fields that the server owns.

        For example: `{"sub": "...", "rsub": "...", "tId": "public", "sessionHandle": "...", "refreshTokenHash1": "...",
        "parentRefreshTokenHash1": null, "antiCsrfToken": null, "iss": "...", "iat": ..., "exp": ...}`.
        """
        return copied(self._payload)

    def get_handle(self, user_context: UserContext | None = None) -> str:
        """Return the session handle."""
        return self._tokens.handle

    def get_access_token(self, user_context: UserContext | None = None) -> str:
        """Return the current access token."""
        return self.access_token

    def get_all_session_tokens_dangerously(self) -> JSONObject:
        """Return every token of the session; they are secrets.

        The keys are `accessToken`, `accessAndFrontTokenUpdated`, `refreshToken`, `frontToken` and `antiCsrfToken`.
        """
        refresh = self.refresh_token
        return {
            "accessToken": self.access_token,
            "accessAndFrontTokenUpdated": self.access_token_updated,
            "refreshToken": None if refresh is None else refresh.token,
            "frontToken": self.front_token,
            "antiCsrfToken": self.anti_csrf_token,
        }

    # What is stored

    async def revoke_session(self, user_context: UserContext | None = None) -> None:
        """End the session, and clear its tokens on the response it is attached to."""
        await self._functions.revoke_session(self.session_handle, _context(user_context))
        attached = self.req_res_info
        if attached is not None:
            self._transport_of(attached.request, _context(user_context)).clear(attached.transfer_method)

    async def get_session_data_from_database(self, user_context: UserContext | None = None) -> JSONObject:
        """Return the data stored with the session; UnauthorisedError if the session has ended."""
        return (await self._information(user_context)).session_data_in_database

    async def update_session_data_in_database(
        self, new_session_data: JSONObject | None, user_context: UserContext | None = None
    ) -> None:
        """Replace the data stored with the session; UnauthorisedError if it has ended."""
        updated = await self._functions.update_session_data_in_database(
            self.session_handle, new_session_data, _context(user_context)
        )
        if not updated:
            raise UnauthorisedError("Session does not exist anymore.")

    async def get_time_created(self, user_context: UserContext | None = None) -> int:
        """Return when the session was created, in ms."""
        return (await self._information(user_context)).time_created

    async def get_expiry(self, user_context: UserContext | None = None) -> int:
        """Return when the session expires if it is not refreshed, in ms."""
        return (await self._information(user_context)).expiry

    async def merge_into_access_token_payload(
        self, access_token_payload_update: JSONObject, user_context: UserContext | None = None
    ) -> None:
        """Merge an update into the stored claims and sign a new access token; a null removes its key.

        ProtectedClaimError if the update sets a field that the server owns, UnauthorisedError if the session has ended.
        """
        merged({}, access_token_payload_update)  # refuses protected names before anything is read
        # The token's own claims may be an hour old: claims that were removed since then would come back.
        stored = (await self._information(user_context)).custom_claims_in_access_token_payload
        new_payload = merged(stored, access_token_payload_update)
        result = await self._functions.regenerate_access_token(self.access_token, new_payload, _context(user_context))
        if result is None:
            raise UnauthorisedError("Session does not exist anymore.")
        if result.access_token is None:
            owned = {name: value for name, value in self._payload.items() if name in PROTECTED}
            self._payload = {**owned, **without_protected(result.session.user_data_in_jwt)}
            return
        self.access_token = result.access_token.token
        self._payload = read_unverified(self.access_token)
        self.access_token_updated = True
        attached = self.req_res_info
        if attached is not None:
            transport = self._transport_of(attached.request, _context(user_context))
            transport.send(attached.transfer_method, self.access_token, self.front_token)

    # Claims

    async def assert_claims(
        self, claim_validators: list[SessionClaimValidator], user_context: UserContext | None = None
    ) -> None:
        """Refetch and validate; InvalidClaimsError lists every failure. Refetched values are stored even then."""
        if not claim_validators:
            return
        context = _context(user_context)
        result = await self._functions.validate_claims(
            self.user_id, self.recipe_user_id, copied(self._payload), claim_validators, context
        )
        if result.access_token_payload_update is not None:
            update = changed(self._payload, without_protected(result.access_token_payload_update))
            await self.merge_into_access_token_payload(update, context)
        if result.invalid_claims:
            raise InvalidClaimsError("INVALID_CLAIMS", result.invalid_claims)

    async def fetch_and_set_claim(self, claim: SessionClaim[Any], user_context: UserContext | None = None) -> None:
        """Fetch a claim's value and put it into the payload."""
        context = _context(user_context)
        update = await claim.build(self.user_id, self.recipe_user_id, self.tenant_id, copied(self._payload), context)
        await self.merge_into_access_token_payload(update, context)

    async def set_claim_value(self, claim: SessionClaim[T], value: T, user_context: UserContext | None = None) -> None:
        """Put a value of a claim into the payload."""
        context = _context(user_context)
        await self.merge_into_access_token_payload(claim.add_to_payload_({}, value, context), context)

    async def get_claim_value(self, claim: SessionClaim[T], user_context: UserContext | None = None) -> T | None:
        """Return the value of a claim in the payload, None where it has none."""
        return claim.get_value_from_payload(copied(self._payload), _context(user_context))

    async def remove_claim(self, claim: SessionClaim[Any], user_context: UserContext | None = None) -> None:
        """Remove a claim from the payload."""
        context = _context(user_context)
        await self.merge_into_access_token_payload(claim.remove_from_payload_by_merge_({}, context), context)

    # The response

    async def attach_to_request_response(
        self, request: AnyRequest, transfer_method: TransferMethod, user_context: UserContext | None = None
    ) -> None:
        """Make this the session of the request; new tokens travel with its response."""
        attached = as_request(request)
        self.req_res_info = ReqResInfo(attached, transfer_method)
        if self.access_token_updated:
            self._transport_of(attached, _context(user_context)).send(
                transfer_method, self.access_token, self.front_token, self.refresh_token, self.anti_csrf_token
            )
        set_session(attached, self)

    async def _information(self, user_context: UserContext | None) -> SessionInformationResult:
        found = await self._functions.get_session_information(self.session_handle, _context(user_context))
        if found is None:
            raise UnauthorisedError("Session does not exist anymore.")
        return found

    sync_revoke_session = synced(revoke_session)
    sync_get_session_data_from_database = synced(get_session_data_from_database)
    sync_update_session_data_in_database = synced(update_session_data_in_database)
    sync_get_time_created = synced(get_time_created)
    sync_get_expiry = synced(get_expiry)
    sync_merge_into_access_token_payload = synced(merge_into_access_token_payload)
    sync_assert_claims = synced(assert_claims)
    sync_fetch_and_set_claim = synced(fetch_and_set_claim)
    sync_set_claim_value = synced(set_claim_value)
    sync_get_claim_value = synced(get_claim_value)
    sync_remove_claim = synced(remove_claim)
    sync_attach_to_request_response = synced(attach_to_request_response)


def _context(user_context: UserContext | None) -> UserContext:
    return {} if user_context is None else user_context


def _plain(
    method: Callable[Concatenate[SessionContainer, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[PlainSession, P], R]:
    call = synced(method)

    @wraps(method)
    def plain(view: PlainSession, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return call(view._session, *args, **kwargs)

    return plain


class PlainSession:
    """The methods of a session that have to be awaited, for code that cannot await."""

    __slots__ = ("_session",)

    def __init__(self, session: SessionContainer) -> None:
        self._session = session

    revoke_session = _plain(SessionContainer.revoke_session)
    get_session_data_from_database = _plain(SessionContainer.get_session_data_from_database)
    update_session_data_in_database = _plain(SessionContainer.update_session_data_in_database)
    get_time_created = _plain(SessionContainer.get_time_created)
    get_expiry = _plain(SessionContainer.get_expiry)
    merge_into_access_token_payload = _plain(SessionContainer.merge_into_access_token_payload)
    assert_claims = _plain(SessionContainer.assert_claims)
    fetch_and_set_claim = _plain(SessionContainer.fetch_and_set_claim)
    set_claim_value = _plain(SessionContainer.set_claim_value)
    get_claim_value = _plain(SessionContainer.get_claim_value)
    remove_claim = _plain(SessionContainer.remove_claim)
    attach_to_request_response = _plain(SessionContainer.attach_to_request_response)
