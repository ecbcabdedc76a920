"""The mail with which somebody sets a new password."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from ...claims.payload import JSONObject
from ...claims.recipe_user_id import RecipeUserId
from ..delivery.interface import EmailContent

SUBJECT = "Password reset instructions"


@dataclass(slots=True)
class PasswordResetEmailTemplateVarsUser:
    """The user and the address of a mail; `recipe_user_id` is None if the login method does not exist yet."""

    id: str
    recipe_user_id: RecipeUserId | None
    email: str

    def to_json(self) -> JSONObject:
        """Return the camelCase form: `{"id": ..., "email": ..., "recipeUserId": ...}`."""
        recipe_user_id = self.recipe_user_id and {"recipeUserId": self.recipe_user_id.get_as_string()}
        return {"id": self.id, "email": self.email, **(recipe_user_id or {})}


@dataclass(slots=True)
class PasswordResetEmailTemplateVars:
    """The variables of the mail; an override may change the attributes and pass the object on."""

    user: PasswordResetEmailTemplateVarsUser
    password_reset_link: str
    tenant_id: str

    @property
    def links(self) -> tuple[str, ...]:
        """The link to follow."""
        return (self.password_reset_link,)

    def to_json(self) -> JSONObject:
        """Return the camelCase form."""
        return {
            "type": "PASSWORD_RESET",
            "user": self.user.to_json(),
            "passwordResetLink": self.password_reset_link,
            "tenantId": self.tenant_id,
        }

    def content(self, app_name: str) -> EmailContent:
        """Return the mail, as text and as HTML."""
        return EmailContent(
            body=_html(app_name, self.user.email, self.password_reset_link),
            subject=SUBJECT,
            to_email=self.user.email,
            plain_text=_text(app_name, self.user.email, self.password_reset_link),
        )


def _text(app_name: str, email: str, link: str) -> str:
    return (
        f"Somebody asked for a new password for {email}{_at(app_name)}.\n\n"
        f"To set one, open this link within an hour:\n\n{link}\n\n"
        "If it was not you, ignore this mail: your password stays as it is.\n"
    )


def _html(app_name: str, email: str, link: str) -> str:
    href = escape(link, quote=True)
    return (
        "<!doctype html>\n<html><body>\n"
        f"<p>Somebody asked for a new password for {escape(email)}{escape(_at(app_name))}.</p>\n"
        f'<p>To set one, open this link within an hour:</p>\n<p><a href="{href}">{href}</a></p>\n'
        "<p>If it was not you, ignore this mail: your password stays as it is.</p>\n"
        "</body></html>\n"
    )


def _at(app_name: str) -> str:
    return f" at {app_name}" if app_name else ""
