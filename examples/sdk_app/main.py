"""The reading list of a library: members read it, librarians add to it."""

from typing import Annotated, Any

from auth import RolesClaim
from fastapi import Depends, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel
from supertokens_python import get_all_cors_headers
from supertokens_python.asyncio import get_user
from supertokens_python.framework.fastapi import get_middleware
from supertokens_python.recipe.session import SessionContainer
from supertokens_python.recipe.session.asyncio import (
    fetch_and_set_claim,
    get_all_session_handles_for_user,
    revoke_all_sessions_for_user,
)
from supertokens_python.recipe.session.framework.fastapi import verify_session
from supertokens_python.recipe.usermetadata.asyncio import update_user_metadata

BOOKS: list[str] = ["Middlemarch"]

app = FastAPI()
app.add_middleware(get_middleware())
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000"],
    allow_credentials=True,
    allow_methods=["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"],
    allow_headers=["Content-Type", *get_all_cors_headers()],
)

librarians_only = verify_session(
    override_global_claim_validators=lambda global_validators, session, user_context: [
        *global_validators,
        RolesClaim.validators.includes("librarian"),
    ]
)
Member = Annotated[SessionContainer, Depends(verify_session())]
Librarian = Annotated[SessionContainer, Depends(librarians_only)]


class Book(BaseModel):
    """What a librarian sends."""

    title: str


@app.get("/me")
async def me(session: Member) -> dict[str, Any]:
    """Return who the member is."""
    user = await get_user(session.get_user_id())
    if user is None:
        raise HTTPException(404)
    data = await session.get_session_data_from_database()
    roles = await session.get_claim_value(RolesClaim)
    return {"email": user.emails[0], "roles": roles, "device": data["device"]}


@app.get("/books")
async def list_books(session: Member) -> list[str]:
    """Show the list."""
    return BOOKS


@app.post("/books")
async def add_book(book: Book, session: Librarian) -> list[str]:
    """Add to the list."""
    BOOKS.append(book.title)
    return BOOKS


@app.post("/librarians/{user_id}")
async def promote(user_id: str, session: Librarian) -> dict[str, str]:
    """Make a member a librarian, also in existing sessions."""
    await update_user_metadata(user_id, {"roles": ["member", "librarian"]})
    for handle in await get_all_session_handles_for_user(user_id):
        await fetch_and_set_claim(handle, RolesClaim)
    return {"status": "OK"}


@app.delete("/sessions")
async def sign_out_everywhere(session: Member) -> dict[str, int]:
    """End all sessions of a member."""
    return {"revoked": len(await revoke_all_sessions_for_user(session.get_user_id()))}
