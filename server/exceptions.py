"""The errors of serving and of the command line; the whole tree is drawn in `coatcheck.claims.exceptions`.

The message of each is one line that says what to do, because the command line shows nothing else.
"""

from __future__ import annotations

from ..claims.exceptions import CoatcheckError


class ServerError(CoatcheckError):
    """Serving, or another command, cannot go on."""


class AddressError(ServerError):
    """The host and port cannot be listened on."""


class OptionsError(ServerError):
    """Options, or the environment variables that stand for them, contradict each other."""


class RecipesError(ServerError):
    """What `--recipes` names cannot be found, fails, or is no list of recipes."""


class EncryptionKeyError(ServerError):
    """The encryption key is missing, or is not the one under which the database's secrets were sealed."""


class NoDatabaseError(ServerError):
    """A command that only reads or changes a database was pointed at none."""
