"""The forms of e-mail/password: their configuration, how a request's fields are read and checked, the default rules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...claims.claim import awaited
from ...claims.payload import JSONObject
from ..chain.chain import InputOverrideConfig, checked_override
from ..delivery import EmailDeliveryConfig
from ..exceptions import BadInputError, ConfigurationError

# The fields of a form

EMAIL = "email"
PASSWORD = "password"  # noqa: S105 - the name of a field
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
        """Return the error for clients: `{"id": ..., "error": ...}`."""
        return {"id": self.id, "error": self.error}


@dataclass(frozen=True, slots=True)
class ConfiguredField:
    """A field with its check; without `validate`, every value is accepted."""

    id: str
    validate: Validate | None
    optional: bool
    takes_tenant: bool = True

    async def error(self, value: Any, tenant_id: str) -> str | None:
        """Return what is wrong with a value that is not empty."""
        if self.validate is None:
            return None
        return await awaited(self.validate(value, tenant_id) if self.takes_tenant else self.validate(value))


# The configuration


@dataclass(frozen=True)
class EmailPasswordConfig:
    """What `emailpassword.init` accepts, and the forms that follow from it."""

    sign_up_feature: InputSignUpFeature | None
    override: InputOverrideConfig
    email_delivery: EmailDeliveryConfig | None

    @cached_property
    def sign_up_fields(self) -> tuple[ConfiguredField, ...]:
        """The fields of the sign-up form."""
        return sign_up_fields(self.sign_up_feature)

    @cached_property
    def sign_in_fields(self) -> tuple[ConfiguredField, ...]:
        """The fields of the sign-in form, which does not check the password policy."""
        return (_field_named(EMAIL, self.sign_up_fields), ConfiguredField(PASSWORD, None, optional=False))

    @cached_property
    def reset_request_fields(self) -> tuple[ConfiguredField, ...]:
        """The field of the form that asks for a reset link."""
        return (_field_named(EMAIL, self.sign_up_fields),)

    @cached_property
    def reset_fields(self) -> tuple[ConfiguredField, ...]:
        """The field of the form that sets a new password."""
        return (_field_named(PASSWORD, self.sign_up_fields),)


def validated(
    sign_up_feature: InputSignUpFeature | None,
    override: InputOverrideConfig | None,
    email_delivery: EmailDeliveryConfig | None,
) -> EmailPasswordConfig:
    """Return the configuration; a wrong option is a ConfigurationError that names it."""
    if sign_up_feature is not None and not isinstance(sign_up_feature, InputSignUpFeature):
        raise ConfigurationError("emailpassword.init: sign_up_feature must be an instance of InputSignUpFeature")
    if email_delivery is not None and not isinstance(email_delivery, EmailDeliveryConfig):
        raise ConfigurationError("emailpassword.init: email_delivery must be an instance of EmailDeliveryConfig")
    config = EmailPasswordConfig(sign_up_feature, checked_override("emailpassword", override), email_delivery)
    _ = config.sign_up_fields  # so that a wrong field is an error here and not at the first request
    return config


def sign_up_fields(feature: InputSignUpFeature | None) -> tuple[ConfiguredField, ...]:
    """Return the fields of the sign-up form (docs/protocol.md, rule 20.1); ConfigurationError if an id comes twice."""
    given = tuple((feature and feature.form_fields) or ())
    ids = [field.id for field in given]
    for field_id in ids:
        if ids.count(field_id) > 1:
            raise ConfigurationError(f"sign_up_feature: there are several form fields with the id {field_id!r}")
    missing = [InputFormField(field_id) for field_id in (EMAIL, PASSWORD) if field_id not in ids]
    return tuple(_configured_field(field) for field in (*given, *missing))


def _configured_field(field: InputFormField) -> ConfiguredField:
    default = {EMAIL: valid_email, PASSWORD: valid_password}.get(field.id)
    optional = default is None and bool(field.optional)
    if field.validate is None:
        return ConfiguredField(field.id, default, optional)
    return ConfiguredField(field.id, field.validate, optional, takes_tenant=_takes_tenant(field.id, field.validate))


def _takes_tenant(field_id: str, validate: Validate) -> bool:
    """Whether a validator takes the tenant id besides the value; validators of older applications do not."""
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


def _field_named(field_id: str, fields: Iterable[ConfiguredField]) -> ConfiguredField:
    return next(field for field in fields if field.id == field_id)


# Forms in requests

_FIELD_EMPTY = "Field is not optional"


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
    fields = [_parse_field(element) for element in elements]
    for field in fields:
        if field.id in (EMAIL, PASSWORD) and not isinstance(field.value, str):
            raise BadInputError(f"{field.id} value must be a string")
    # Two fields with one id are refused, too: the field that is validated must be the one that is used.
    if len(fields) > len(configured) or len({field.id for field in fields}) < len(fields):
        raise BadInputError("Are you sending too many formFields?")
    return [FormField(EMAIL, field.value.strip()) if field.id == EMAIL else field for field in fields]


def _parse_field(element: Any) -> FormField:
    if not isinstance(element, Mapping):
        raise BadInputError("All elements of formFields must be an object")
    if not isinstance(element.get("id"), str) or "value" not in element:
        raise BadInputError("All elements of formFields must contain an 'id' and 'value' field")
    return FormField(element["id"], element["value"])


async def form_field_errors(
    fields: Iterable[FormField], configured: Iterable[ConfiguredField], *, tenant_id: str
) -> list[FieldError]:
    """Validate the fields and return every error, in the order of the configuration."""
    values = {field.id: field.value for field in fields}
    errors: list[FieldError] = []
    for field in configured:
        value = values.get(field.id)
        if value is None or value == "":
            error = None if field.optional else _FIELD_EMPTY
        else:
            error = await field.error(value, tenant_id)
        if error is not None:
            errors.append(FieldError(field.id, error))
    return errors


def field_error(errors: Iterable[FieldError]) -> JSONObject:
    """Return the answer for wrong fields: `{"status": "FIELD_ERROR", "formFields": [{"id": ..., "error": ...}]}`."""
    return {"status": "FIELD_ERROR", "formFields": [error.to_json() for error in errors]}


def field_value(fields: Iterable[FormField], field_id: str) -> Any:
    """Return the value of a field, None if it is missing."""
    for field in fields:
        if field.id == field_id:
            return field.value
    return None


# The default rules for addresses and passwords

_EMAIL_INVALID = "Email is not valid"
_PASSWORD_SHORT = "Password must contain at least 8 characters, including a number"  # noqa: S105
_PASSWORD_LONG = "Password's length must be lesser than 100 characters"  # noqa: S105
_PASSWORD_NO_LETTER = "Password must contain at least one alphabet"  # noqa: S105
_PASSWORD_NO_DIGIT = "Password must contain at least one number"  # noqa: S105
_MIN_PASSWORD_LENGTH = 8
_TOO_LONG_PASSWORD = 100

# Every repetition is possessive, without backtracking, so the time for an address is proportional to its length. The
# patterns refuse NUL and half surrogate pairs, which not every database stores.
_WORD = r"[^<>()\[\]\\.,;:\s@\"\ufeff\0\ud800-\udfff]++"
_LOCAL_PART = re.compile(rf"{_WORD}(?:\.{_WORD})*+")
_QUOTED_LOCAL_PART = re.compile(r"\"(?:[^\"\\\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]|\\[\"\\])++\"")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}+")
_ADDRESS_LITERAL = re.compile(r"\[[0-9]{1,3}(?:\.[0-9]{1,3}){3}\]")


async def valid_email(value: str, tenant_id: str) -> str | None:
    """Return why the text is no e-mail address, None if it is one (docs/protocol.md, rule 20.3)."""
    local, _, domain = value.rpartition("@")
    good_local = _LOCAL_PART.fullmatch(local) or _QUOTED_LOCAL_PART.fullmatch(local)
    good_domain = _DOMAIN.fullmatch(domain) or _ADDRESS_LITERAL.fullmatch(domain)
    return None if good_local and good_domain else _EMAIL_INVALID


async def valid_password(value: str, tenant_id: str) -> str | None:
    """Return the first rule that the password breaks, None if it breaks none (docs/protocol.md, rule 20.4)."""
    if len(value) < _MIN_PASSWORD_LENGTH:
        return _PASSWORD_SHORT
    if len(value) >= _TOO_LONG_PASSWORD:
        return _PASSWORD_LONG
    if re.search(r"[A-Za-z]", value) is None:
        return _PASSWORD_NO_LETTER
    if re.search(r"[0-9]", value) is None:
        return _PASSWORD_NO_DIGIT
    return None
