"""The form fields of e-mail/password: how they are configured, read from a request, and validated."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...claims.claim import settled
from ...claims.payload import JSONObject
from ..exceptions import BadInputError, ConfigurationError
from .validators import valid_email, valid_password

EMAIL = "email"
PASSWORD = "password"  # noqa: S105 - the name of a field
FIELD_EMPTY = "Field is not optional"

Validate = Callable[..., "Awaitable[str | None] | str | None"]


@dataclass(frozen=True, slots=True)
class InputFormField:
    """A field of the sign-up form; `validate` takes the value and the tenant id and returns what is wrong, or None."""

    id: str
    validate: Validate | None = None
    optional: bool | None = None


@dataclass(frozen=True, slots=True)
class InputSignUpFeature:
    """The sign-up form; e-mail and password are added where they are not listed."""

    form_fields: Sequence[InputFormField] | None = None


@dataclass(frozen=True, slots=True)
class FormField:
    """A field as a client filled it in."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with a field, shown to the user beneath it."""

    id: str
    error: str

    def to_json(self) -> JSONObject:
        """Return the form clients know."""
        return {"id": self.id, "error": self.error}


@dataclass(frozen=True, slots=True)
class ConfiguredField:
    """A field as it is checked; without `validate`, anything goes."""

    id: str
    validate: Validate | None
    optional: bool
    takes_tenant: bool = True

    async def error(self, value: Any, tenant_id: str) -> str | None:
        """Return what is wrong with a value that is there."""
        if self.validate is None:
            return None
        return await settled(self.validate(value, tenant_id) if self.takes_tenant else self.validate(value))


def sign_up_fields(feature: InputSignUpFeature | None) -> tuple[ConfiguredField, ...]:
    """Return the fields of the sign-up form (docs/protocol.md, rule 20.1); ConfigurationError for what cannot be."""
    given = tuple((feature and feature.form_fields) or ())
    ids = [field.id for field in given]
    for field_id in ids:
        if ids.count(field_id) > 1:
            raise ConfigurationError(f"sign_up_feature: there are several form fields with the id {field_id!r}")
    missing = [InputFormField(field_id) for field_id in (EMAIL, PASSWORD) if field_id not in ids]
    return tuple(_configured(field) for field in (*given, *missing))


def sign_in_fields(sign_up: Iterable[ConfiguredField]) -> tuple[ConfiguredField, ...]:
    """Return the fields of the sign-in form: the policy for passwords is no business of a sign-in."""
    return (_only(EMAIL, sign_up), ConfiguredField(PASSWORD, None, optional=False))


def reset_request_fields(sign_up: Iterable[ConfiguredField]) -> tuple[ConfiguredField, ...]:
    """Return the fields of the form that asks for a reset."""
    return (_only(EMAIL, sign_up),)


def reset_fields(sign_up: Iterable[ConfiguredField]) -> tuple[ConfiguredField, ...]:
    """Return the fields of the form that sets a new password."""
    return (_only(PASSWORD, sign_up),)


def parse_form_fields(body: Any, configured: Sequence[ConfiguredField]) -> list[FormField]:
    """Return the fields of a request's body, the e-mail address trimmed.

    BadInputError if the body is malformed; the order of the checks is fixed (docs/protocol.md, rule 20.5).
    """
    if not isinstance(body, Mapping):
        raise BadInputError("Please provide a JSON body")
    if "formFields" not in body:
        raise BadInputError("Missing input param: formFields")
    elements = body["formFields"]
    if not isinstance(elements, list):
        raise BadInputError("formFields must be an array")
    fields = [_field(element) for element in elements]
    for field in fields:
        if field.id in (EMAIL, PASSWORD) and not isinstance(field.value, str):
            raise BadInputError(f"{field.id} value must be a string")
    # Two fields of one id are too many, too: the one that is validated must be the one that is used.
    if len(fields) > len(configured) or len({field.id for field in fields}) < len(fields):
        raise BadInputError("Are you sending too many formFields?")
    return [FormField(EMAIL, field.value.strip()) if field.id == EMAIL else field for field in fields]


async def form_field_errors(
    fields: Iterable[FormField], configured: Iterable[ConfiguredField], *, tenant_id: str
) -> list[FieldError]:
    """Validate what was filled in and return every error, in the order of the configuration."""
    values = {field.id: field.value for field in fields}
    errors: list[FieldError] = []
    for field in configured:
        value = values.get(field.id)
        if value is None or value == "":
            error = None if field.optional else FIELD_EMPTY
        else:
            error = await field.error(value, tenant_id)
        if error is not None:
            errors.append(FieldError(field.id, error))
    return errors


def field_error(errors: Iterable[FieldError]) -> JSONObject:
    """Return the answer that tells a client which fields are wrong."""
    return {"status": "FIELD_ERROR", "formFields": [error.to_json() for error in errors]}


def field_value(fields: Iterable[FormField], field_id: str) -> Any:
    """Return what was filled into a field, None where it is missing."""
    return next((field.value for field in fields if field.id == field_id), None)


def _field(element: Any) -> FormField:
    if not isinstance(element, Mapping):
        raise BadInputError("All elements of formFields must be an object")
    if not isinstance(element.get("id"), str) or "value" not in element:
        raise BadInputError("All elements of formFields must contain an 'id' and 'value' field")
    return FormField(element["id"], element["value"])


def _configured(field: InputFormField) -> ConfiguredField:
    default = {EMAIL: valid_email, PASSWORD: valid_password}.get(field.id)
    optional = default is None and bool(field.optional)
    if field.validate is None:
        return ConfiguredField(field.id, default, optional)
    return ConfiguredField(field.id, field.validate, optional, takes_tenant=_takes_tenant(field.id, field.validate))


def _takes_tenant(field_id: str, validate: Validate) -> bool:
    """Whether a validator takes the tenant id beside the value; older applications wrote them without."""
    try:
        signature = inspect.signature(validate)
    except (TypeError, ValueError):
        return True
    for arguments in (("value", "public"), ("value",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) > 1
    raise ConfigurationError(
        f"sign_up_feature: the validator of the form field {field_id!r} must take the value and the tenant id"
    )


def _only(field_id: str, fields: Iterable[ConfiguredField]) -> ConfiguredField:
    return next(field for field in fields if field.id == field_id)
