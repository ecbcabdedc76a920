"""Sessions, claims and sign-in recipes with an override chain: the front door, which loads what is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .claims.recipe_user_id import RecipeUserId
    from .recipes import exceptions
    from .recipes.accountlinking import (
        delete_user,
        get_user,
        get_user_count,
        get_users_newest_first,
        get_users_oldest_first,
        list_users_by_account_info,
        sync,
    )
    from .recipes.app import App, SupertokensConfig, current_app, init
    from .recipes.kit.app_info import InputAppInfo
    from .recipes.kit.request import get_all_cors_headers, get_request_from_user_context
    from .recipes.users.user import AccountInfo, User
    from .sessions.blocking import blocking

__version__ = "0.1.0"

_HOME = {
    "AccountInfo": ".recipes.users.user",
    "App": ".recipes.app",
    "InputAppInfo": ".recipes.kit.app_info",
    "RecipeUserId": ".claims.recipe_user_id",
    "SupertokensConfig": ".recipes.app",
    "User": ".recipes.users.user",
    "blocking": ".sessions.blocking",
    "current_app": ".recipes.app",
    "delete_user": ".recipes.accountlinking",
    "exceptions": ".recipes",
    "get_all_cors_headers": ".recipes.kit.request",
    "get_request_from_user_context": ".recipes.kit.request",
    "get_user": ".recipes.accountlinking",
    "get_user_count": ".recipes.accountlinking",
    "get_users_newest_first": ".recipes.accountlinking",
    "get_users_oldest_first": ".recipes.accountlinking",
    "init": ".recipes.app",
    "list_users_by_account_info": ".recipes.accountlinking",
    "sync": ".recipes.accountlinking",
}

__all__ = [
    "AccountInfo",
    "App",
    "InputAppInfo",
    "RecipeUserId",
    "SupertokensConfig",
    "User",
    "blocking",
    "current_app",
    "delete_user",
    "exceptions",
    "get_all_cors_headers",
    "get_request_from_user_context",
    "get_user",
    "get_user_count",
    "get_users_newest_first",
    "get_users_oldest_first",
    "init",
    "list_users_by_account_info",
    "sync",
]


if not TYPE_CHECKING:  # or type checkers would take every name for one that exists

    def __getattr__(name: str) -> Any:
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(home, __name__)
        value = import_module(f"{home}.{name}", __name__) if name == "exceptions" else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
