"""Attributes of results that the SDK has dropped since the seed's time, for applications that still read them.

Then a user was one login method, with an address; now it is a group of them, and a result tells of recipe users. The
attributes are added to coatcheck's classes when an application imports the module named, and taken away by `uninstall`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_CREATED = {"created_new_user": lambda result: result.created_new_recipe_user}
_SIGNED_IN_UP = {
    "coatcheck.recipes.thirdparty.interface:SignInUpOkResult": _CREATED,
    "coatcheck.recipes.thirdparty.interface:SignInUpPostOkResult": _CREATED,
    "coatcheck.recipes.thirdparty.interface:ManuallyCreateOrUpdateUserOkResult": _CREATED,
}

ATTRIBUTES: dict[str, dict[str, dict[str, Callable[[Any], Any]]]] = {
    "": {
        "coatcheck.recipes.users.user:User": {
            "user_id": lambda user: user.id,
            "email": lambda user: next(iter(user.emails), None),
            "third_party_info": lambda user: next(iter(user.third_party), None),
        }
    },
    "recipe.thirdparty": _SIGNED_IN_UP,
    "recipe.thirdpartyemailpassword": _SIGNED_IN_UP,
}
"""Per module below `supertokens_python`: the classes, and what their older attributes stand for now."""
