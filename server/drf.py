"""coatcheck in Django REST framework: an authentication class."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

try:
    import rest_framework.authentication
except ImportError as missing:
    raise ImportError(
        "coatcheck.server.drf needs Django REST framework: pip install 'coatcheck[django]' djangorestframework"
    ) from missing

from rest_framework.request import Request

from ..claims.payload import UserContext
from ..claims.validator import SessionClaimValidator
from ..recipes.kit.request import as_request
from ..recipes.session.api import UNCHECKED_METHODS
from ..recipes.session.container import SessionContainer
from .django.http import SESSION_HEADERS, keep_cacheable
from .guard import Guard, served_by


@dataclass(frozen=True, slots=True, eq=False)
class SessionUser:
    """The user of a session, with what Django's own users have; equal to any other of the same user id.

    It belongs to no group and has no permission of Django's; claims say what a user may do.
    """

    session: SessionContainer

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    @property
    def id(self) -> str:
        """The primary user id."""
        return self.session.get_user_id()

    @property
    def pk(self) -> str:
        """The primary user id, under the name that throttles use."""
        return self.id

    @property
    def username(self) -> str:
        """The primary user id, for logs and pages."""
        return self.id

    def get_username(self) -> str:
        """Return the primary user id."""
        return self.id

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_perms(self, perm_list: object, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """Return False."""
        return False

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionUser) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class CoatCheckAuthentication(rest_framework.authentication.BaseAuthentication):
    """Authenticates by the session: `request.user` is its SessionUser, `request.auth` the session itself.

    Without tokens the next authentication class is asked, and permissions decide. Expired tokens and claims that do not
    hold are answered with 401 or 403 by `coatcheck.server.django.Middleware`, which must be listed. A subclass may set
    `session_required`, `anti_csrf_check` and `check_database` (as in `coatcheck.server.guard.Guard`), and override
    which claims are demanded and which user a session stands for.

    The framework exempts its views from Django's CSRF check, and its SessionAuthentication makes up for that. This
    class does the same: every method but GET must pass the check of the `anti_csrf` option of `session.init`.
    """

    anti_csrf_check: bool | None = None
    session_required: bool = False
    check_database: bool = False

    def authenticate(self, request: Request) -> tuple[Any, SessionContainer] | None:
        """Return the user and the session of a request, None if it has no session and needs none."""
        own = as_request(request)
        guard = Guard(
            self.anti_csrf_check,
            self.session_required and own.method.upper() not in UNCHECKED_METHODS,
            self.check_database,
            self.override_global_claim_validators,
        )
        app = served_by(own)
        with app.active(), _vary_on_session(request):
            session = app.driver(guard.check(own))
        return None if session is None else (self.user_of(session), session)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of the 401 that answers a request without a session."""
        return "Bearer"

    def user_of(self, session: SessionContainer) -> Any:
        """Return the user of a session; a subclass may look up a model of its own."""
        return SessionUser(session)

    def override_global_claim_validators(
        self, validators: list[SessionClaimValidator], session: SessionContainer, user_context: UserContext
    ) -> list[SessionClaimValidator]:
        """Return the validators to run, given those that apply to every route."""
        return validators


def _vary_on_session(request: Request) -> AbstractContextManager[None]:
    """Set Vary on the view, because a cache around it stores the response before the middleware sees it."""
    headers = getattr((request.parser_context or {}).get("view"), "headers", None)
    if headers is None:
        return nullcontext()
    headers["Vary"] = ", ".join(dict.fromkeys(filter(None, (headers.get("Vary"), *SESSION_HEADERS))))
    return keep_cacheable(request)
