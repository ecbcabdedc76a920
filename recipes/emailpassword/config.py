"""The configuration of the e-mail/password recipe, checked when `emailpassword.init` is called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..chain.chain import InputOverrideConfig, checked_override
from ..delivery import EmailDeliveryConfig
from ..exceptions import ConfigurationError
from .form import (
    ConfiguredField,
    InputSignUpFeature,
    reset_fields,
    reset_request_fields,
    sign_in_fields,
    sign_up_fields,
)


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
        """The fields of the sign-in form."""
        return sign_in_fields(self.sign_up_fields)

    @cached_property
    def reset_request_fields(self) -> tuple[ConfiguredField, ...]:
        """The field of the form that asks for a reset link."""
        return reset_request_fields(self.sign_up_fields)

    @cached_property
    def reset_fields(self) -> tuple[ConfiguredField, ...]:
        """The field of the form that sets a new password."""
        return reset_fields(self.sign_up_fields)


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
    _ = config.sign_up_fields  # so that a wrong field is found here and not at the first request
    return config
