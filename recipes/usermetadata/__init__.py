"""Metadata of users: one JSON object per id, changed key by key; functions awaitable and under `.sync`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from sqlalchemy import Connection

from ...claims.payload import JSONObject, UserContext
from ..chain.chain import InputOverrideConfig
from ..chain.view import Layer
from ..exceptions import BadInputError
from ..kit.recipe import OverridesOnly, Recipe, RecipeSpecification, Result
from ..kit.services import synced
from ..users.directory import DeletedUser
from ..users.login_methods import storable_text
from . import rows

UserMetadataOverrideConfig = InputOverrideConfig


@dataclass(frozen=True, slots=True)
class MetadataResult(Result):
    """The whole metadata of an id."""

    metadata: JSONObject


@dataclass(frozen=True, slots=True)
class ClearUserMetadataResult(Result):
    """The metadata is gone."""


class RecipeInterface(ABC):
    """The functions over metadata; each can be overridden (docs/protocol.md, section 24)."""

    @abstractmethod
    async def get_user_metadata(self, user_id: str, user_context: UserContext) -> MetadataResult:
        """Return the metadata of an id, empty where there is none."""

    @abstractmethod
    async def update_user_metadata(
        self, user_id: str, metadata_update: JSONObject, user_context: UserContext
    ) -> MetadataResult:
        """Merge an update into the metadata; a null at the top level removes its key."""

    @abstractmethod
    async def clear_user_metadata(self, user_id: str, user_context: UserContext) -> ClearUserMetadataResult:
        """Delete the metadata of an id."""


class FunctionsLayer(Layer[RecipeInterface], RecipeInterface):
    """A layer over the functions, written as a class: override what is to change, reach the rest by `super()`."""


class UserMetadataRecipe(Recipe[RecipeInterface, None]):
    """The metadata recipe of one App."""

    recipe_id = "usermetadata"
    interfaces = (RecipeInterface, None)

    def forget_user(self, connection: Connection, deleted: DeletedUser) -> None:
        """Delete the metadata of ids that no longer belong to anybody."""
        for user_id in deleted.ids:
            rows.clear(connection, user_id)


class _Functions(RecipeInterface):
    def __init__(self, recipe: UserMetadataRecipe) -> None:
        self._app = recipe.app

    async def get_user_metadata(self, user_id: str, user_context: UserContext) -> MetadataResult:
        if not storable_text(user_id):
            return MetadataResult({})
        stored = await self._app.read(lambda connection: rows.get(connection, user_id))
        return MetadataResult(stored)

    async def update_user_metadata(
        self, user_id: str, metadata_update: JSONObject, user_context: UserContext
    ) -> MetadataResult:
        if not storable_text(user_id):
            raise BadInputError("the id is too long or not valid text")
        whole = await self._app.write(lambda connection: rows.merge(connection, user_id, metadata_update))
        return MetadataResult(whole)

    async def clear_user_metadata(self, user_id: str, user_context: UserContext) -> ClearUserMetadataResult:
        if storable_text(user_id):
            await self._app.write(lambda connection: rows.clear(connection, user_id))
        return ClearUserMetadataResult()


def init(override: InputOverrideConfig | None = None) -> RecipeSpecification:
    """Describe the metadata recipe; every App has it, so this is needed only to override it."""
    return RecipeSpecification(UserMetadataRecipe, OverridesOnly.checked("usermetadata", override), _Functions)


async def get_user_metadata(user_id: str, user_context: UserContext | None = None) -> MetadataResult:
    """Return the metadata of an id, empty where there is none; the id does not have to be a user's."""
    return await UserMetadataRecipe.call(
        lambda functions, context: functions.get_user_metadata(user_id, context), user_context
    )


async def update_user_metadata(
    user_id: str, metadata_update: JSONObject, user_context: UserContext | None = None
) -> MetadataResult:
    """Merge an update into the metadata and return the whole; a null at the top level removes its key."""
    return await UserMetadataRecipe.call(
        lambda functions, context: functions.update_user_metadata(user_id, metadata_update, context), user_context
    )


async def clear_user_metadata(user_id: str, user_context: UserContext | None = None) -> ClearUserMetadataResult:
    """Delete the metadata of an id."""
    return await UserMetadataRecipe.call(
        lambda functions, context: functions.clear_user_metadata(user_id, context), user_context
    )


class sync:
    """The same functions for code that cannot await."""

    get_user_metadata = staticmethod(synced(get_user_metadata))
    update_user_metadata = staticmethod(synced(update_user_metadata))
    clear_user_metadata = staticmethod(synced(clear_user_metadata))
