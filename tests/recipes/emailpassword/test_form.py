"""The form fields of e-mail and password: configuration, protocol, default validators."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from coatcheck.recipes.emailpassword import form as validators
from coatcheck.recipes.emailpassword.form import (
    FormField,
    InputFormField,
    InputSignUpFeature,
    field_error,
    field_value,
    form_field_errors,
    parse_form_fields,
    sign_up_fields,
    valid_email,
    valid_password,
    validated,
)
from coatcheck.recipes.exceptions import BadInputError, ConfigurationError

CONFIG = validated(None, None, None)
SIGN_UP = CONFIG.sign_up_fields
GOOD = {"email": "a@example.com", "password": "password1"}


def email_error(text: str) -> str | None:
    """Return what the default validator says of an address."""
    return asyncio.run(valid_email(text, "public"))


def password_error(text: str) -> str | None:
    """Return what the default validator says of a password."""
    return asyncio.run(valid_password(text, "public"))


def body(**values: Any) -> dict[str, Any]:
    """Return a request's body."""
    return {"formFields": [{"id": name, "value": value} for name, value in values.items()]}


def errors(given: dict[str, Any], feature: InputSignUpFeature | None = None, tenant_id: str = "public") -> Any:
    """Parse and validate a sign-up form and return the errors."""
    configured = sign_up_fields(feature)
    fields = parse_form_fields(body(**given), configured)
    return [error.to_json() for error in asyncio.run(form_field_errors(fields, configured, tenant_id=tenant_id))]


def refusal(request_body: Any, configured: Any = SIGN_UP) -> str:
    """Return why a body is malformed."""
    with pytest.raises(BadInputError) as refused:
        parse_form_fields(request_body, configured)
    return str(refused.value)


# --- configuration


def test_email_and_password_are_added() -> None:
    """E-mail and password follow the configured fields where they are not listed, and are never optional."""
    assert [field.id for field in SIGN_UP] == ["email", "password"]
    feature = InputSignUpFeature([InputFormField("age"), InputFormField("password", optional=True)])
    fields = sign_up_fields(feature)
    assert [(field.id, field.optional) for field in fields] == [("age", False), ("password", False), ("email", False)]


def test_a_field_listed_twice_is_a_configuration_error() -> None:
    """Two configured fields of one id cannot be told apart: an error at init."""
    with pytest.raises(ConfigurationError, match="'age'"):
        sign_up_fields(InputSignUpFeature([InputFormField("age"), InputFormField("age")]))


def test_forms_derived_from_the_sign_up_form() -> None:
    """Sign-in checks the address but not the policy of passwords; the reset forms have one field each."""
    assert [field.id for field in CONFIG.sign_in_fields] == ["email", "password"]
    assert CONFIG.sign_in_fields[1].validate is None
    assert [field.validate for field in CONFIG.reset_request_fields] == [valid_email]
    assert [field.validate for field in CONFIG.reset_fields] == [valid_password]


def test_own_validators_replace_the_default() -> None:
    """An application's validator of the address or the password is used in place of the default."""

    async def validate(value: Any, tenant_id: str) -> str | None:
        return None if value == tenant_id else f"not {tenant_id}"

    feature = InputSignUpFeature([InputFormField("email", validate), InputFormField("password", validate)])
    assert errors({"email": "t1", "password": "x"}, feature, "t1") == [{"id": "password", "error": "not t1"}]


def test_validators_of_older_applications() -> None:
    """A validator may take the value alone, and may be a plain function."""

    async def of_value(value: Any) -> str | None:
        return f"bad {value}"

    def plain(value: Any, tenant_id: str) -> str | None:
        return f"{tenant_id} {value}"

    feature = InputSignUpFeature([InputFormField("a", of_value), InputFormField("b", plain)])
    found = errors({**GOOD, "a": 1, "b": [2]}, feature)
    assert found == [{"id": "a", "error": "bad 1"}, {"id": "b", "error": "public [2]"}]


def test_impossible_validators() -> None:
    """A validator that takes something else is an error at init."""

    async def of_three(value: Any, tenant_id: str, more: str) -> str | None:
        return None

    with pytest.raises(ConfigurationError, match="'a'"):
        sign_up_fields(InputSignUpFeature([InputFormField("a", of_three)]))


# --- protocol


def test_good_form() -> None:
    """A complete form has no errors; the address is trimmed, the password is not."""
    fields = parse_form_fields(body(email=" a@example.com\n", password=" password1 "), SIGN_UP)
    assert fields == [FormField("email", "a@example.com"), FormField("password", " password1 ")]
    assert asyncio.run(form_field_errors(fields, SIGN_UP, tenant_id="public")) == []
    assert field_value(fields, "password") == " password1 "
    assert field_value(fields, "age") is None


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (None, "Please provide a JSON body"),
        ([], "Please provide a JSON body"),
        ({}, "Missing input param: formFields"),
        ({"formFields": None}, "formFields must be an array"),
        ({"formFields": {}}, "formFields must be an array"),
        ({"formFields": "x"}, "formFields must be an array"),
        ({"formFields": ["x"]}, "All elements of formFields must be an object"),
        ({"formFields": [None]}, "All elements of formFields must be an object"),
        ({"formFields": [{}]}, "All elements of formFields must contain an 'id' and 'value' field"),
        ({"formFields": [{"id": "email"}]}, "All elements of formFields must contain an 'id' and 'value' field"),
        ({"formFields": [{"value": "x"}]}, "All elements of formFields must contain an 'id' and 'value' field"),
        ({"formFields": [{"id": 1, "value": 1}]}, "All elements of formFields must contain an 'id' and 'value' field"),
        (body(email=1), "email value must be a string"),
        (body(email=None), "email value must be a string"),
        (body(password=["x"]), "password value must be a string"),
        (body(email="a", password="b", more="c"), "Are you sending too many formFields?"),
    ],
)
def test_malformed_bodies(request_body: Any, message: str) -> None:
    """A malformed body is refused with the sentence that clients know."""
    assert refusal(request_body) == message


def test_order_of_the_checks() -> None:
    """The shape of all elements is checked before the kinds of their values, and these before the number."""
    assert refusal({"formFields": [{"id": "email", "value": 1}, "x"]}) == "All elements of formFields must be an object"
    assert refusal(body(a=1, b=2, c=3, password=4)) == "password value must be a string"


def test_one_field_twice_is_too_many() -> None:
    """What is validated is what is used: a second field of one id is refused."""
    twice = {"formFields": [{"id": "email", "value": "a@example.com"}, {"id": "email", "value": "x"}]}
    assert refusal(twice) == "Are you sending too many formFields?"


def test_unknown_fields_reach_the_application() -> None:
    """A field that is not configured is not checked, and still passed on if the number fits."""
    fields = parse_form_fields(body(email="a@example.com", other={"x": 1}), SIGN_UP)
    assert field_value(fields, "other") == {"x": 1}


def test_errors_are_collected_in_the_order_of_configuration() -> None:
    """Every field is checked, whatever the order they are sent in."""
    feature = InputSignUpFeature([InputFormField("age"), InputFormField("nick", optional=True)])
    found = errors({"password": "x", "email": "y", "nick": ""}, feature)
    assert [error["id"] for error in found] == ["age", "email", "password"]
    assert found[0] == {"id": "age", "error": "Field is not optional"}


@pytest.mark.parametrize("value", ["", None])
def test_empty_is_missing(value: Any) -> None:
    """Empty text and null count as missing: an error where required, nothing to validate where optional."""

    async def validate(value: Any, tenant_id: str) -> str | None:
        raise AssertionError

    required = InputSignUpFeature([InputFormField("age", validate)])
    optional = InputSignUpFeature([InputFormField("age", validate, optional=True)])
    assert errors({**GOOD, "age": value}, required) == [{"id": "age", "error": "Field is not optional"}]
    assert errors({**GOOD, "age": value}, optional) == []


@pytest.mark.parametrize("value", [0, False, [], {}])
def test_other_empty_looking_values_are_there(value: Any) -> None:
    """Zero, false and empty containers are values of a custom field."""
    assert errors({**GOOD, "age": value}, InputSignUpFeature([InputFormField("age")])) == []


def test_blank_address_and_empty_password() -> None:
    """An address of white space and an empty password are missing, in every form."""
    found = [
        {"id": "email", "error": "Field is not optional"},
        {"id": "password", "error": "Field is not optional"},
    ]
    assert errors({"email": "  ", "password": ""}) == found
    sign_in = CONFIG.sign_in_fields
    fields = parse_form_fields(body(email="", password=""), sign_in)
    assert field_error(asyncio.run(form_field_errors(fields, sign_in, tenant_id="public"))) == {
        "status": "FIELD_ERROR",
        "formFields": found,
    }


# --- addresses

GOOD_ADDRESSES = [
    "a@b.co",
    "Ada.Lovelace@Example.COM",
    "a+b@x-y.example.museum",
    "a!#$%&'*+/=?^_`{|}~-@example.com",
    "ü@example.com",
    '"a b"@example.com',
    '"@"@example.com',
    r'"\""@example.com',
    "a@[1.2.3.4]",
    "a@[999.0.00.1]",
    "a@-.xx",
    "a@1.2.3.aa",
    "a" * 400 + "@example.com",
]
BAD_ADDRESSES = [
    "",
    "a",
    "@",
    "a@",
    "@example.com",
    "a@example",
    "a@example.c",
    "a@example.c0m",
    "a@.com",
    "a@x..com",
    "a@example.com.",
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a b@example.com",
    "a@exam ple.com",
    "a@example.com\n",
    "a@@example.com",
    "a@b@example.com",
    "a,b@example.com",
    "a;b@example.com",
    "a<b@example.com",
    "a(b)@example.com",
    '""@example.com',
    '"a"b@example.com',
    '"a"b"@example.com',
    '"a@example.com',
    '"a\r\nBcc: b@example.com"@example.com',
    '"\\"@example.com',
    "a@[1.2.3]",
    "a@[1.2.3.4.5]",
    "a@[1.2.3.1234]",
    "a@[a.b.c.d]",
    "a@1.2.3.4",
    "a@exämple.com",
    "a@example.cöm",
    "a\0@example.com",
    "\ud800@example.com",
]


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_good_addresses(address: str) -> None:
    """These are e-mail addresses."""
    assert email_error(address) is None


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_bad_addresses(address: str) -> None:
    """These are not."""
    assert email_error(address) == "Email is not valid"


def is_address(text: str) -> bool:
    """Decide by hand, without regular expressions, whether a text is an address (unquoted local part)."""
    local, at, domain = text.rpartition("@")
    if not at or local.startswith('"'):
        return False
    words, labels = local.split("."), domain.split(".")
    good_words = all(word and not any(c in '<>()[]\\,;:@"\ufeff\0' or c.isspace() for c in word) for word in words)
    ascii_ = domain.isascii()
    good_labels = len(labels) > 1 and all(label.replace("-", "0").isalnum() for label in labels[:-1])
    good_domain = ascii_ and good_labels and labels[-1].isalpha() and len(labels[-1]) > 1
    literal = domain[1:-1].split(".") if domain[:1] + domain[-1:] == "[]" else []
    good_literal = len(literal) == 4 and all(n.isascii() and n.isdigit() and len(n) < 4 for n in literal)
    return good_words and (good_domain or good_literal)


@given(st.text(alphabet='ab1.-@[]"é \\_\n', max_size=14) | st.text(max_size=8).map(lambda text: f"{text}@b.co"))
def test_addresses_agree_with_a_reading_by_hand(text: str) -> None:
    """The default validator says what the rules say, word by word."""
    if not text.rpartition("@")[0].startswith('"'):
        assert (email_error(text) is None) is is_address(text)


@pytest.mark.parametrize(
    "text",
    ["a." * 50_000 + "@", "a@" + "a." * 50_000, "a@" + "a-" * 50_000, '"' + '\\"' * 50_000, "@" * 50_000, "a" * 10**6],
)
def test_redos(text: str) -> None:
    """Long hostile addresses are answered without trying one text in many ways."""
    assert email_error(text) == "Email is not valid"


def test_patterns_cannot_backtrack() -> None:
    """Every unbounded repetition in the validators' patterns is possessive."""
    patterns = [value.pattern for value in vars(validators).values() if isinstance(value, re.Pattern)]
    assert len(patterns) == 4
    for pattern in patterns:
        without_characters = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "", pattern)
        bare = re.sub(r"\+\+|\*\+|\{\d+,\}\+", "", without_characters)
        assert not re.search(r"[+*]|,\}", bare)


# --- passwords


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("a1", "Password must contain at least 8 characters, including a number"),
        ("", "Password must contain at least 8 characters, including a number"),
        ("abcdef1", "Password must contain at least 8 characters, including a number"),
        ("abcdefg1", None),
        ("a1" * 49 + "a", None),
        ("a1" * 50, "Password's length must be lesser than 100 characters"),
        ("12345678", "Password must contain at least one alphabet"),
        ("éééééé12", "Password must contain at least one alphabet"),
        ("abcdefgh", "Password must contain at least one number"),
        ("abcdefg١", "Password must contain at least one number"),
        ("--------", "Password must contain at least one alphabet"),
    ],
)
def test_password_policy(password: str, message: str | None) -> None:
    """The first rule broken is named, in the words the front ends use."""
    assert password_error(password) == message
