"""The errors of serving and of the command line; the whole tree is drawn in `coatcheck.claims.exceptions`.

Each message is one line that says what to do, because the command line shows nothing else.
"""

from __future__ import annotations

from ..claims.exceptions import CoatcheckError


class ServerError(CoatcheckError):
    """Serving, or another command, cannot go on."""


class AddressError(ServerError):
    """The host and port cannot be listened on."""


class OptionsError(ServerError):
    """Options, or their environment variables, contradict each other."""


class RecipesError(ServerError):
    """The object that `--recipes` names cannot be found, fails, or is not a list of recipes."""


class EncryptionKeyError(ServerError):
    """The encryption key is missing, or is not the key that sealed the database's secrets."""


class NoDatabaseError(ServerError):
    """A command that reads or changes an existing database was given none."""
