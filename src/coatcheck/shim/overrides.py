"""What SDK applications give to `init` of a recipe: overrides, error handlers, delivery.

Their functions get requests and responses of the SDK's kind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..claims.claim import awaited
from ..recipes import delivery
from ..recipes.chain import chain as override_config
from ..recipes.chain.operation import operation_names
from ..recipes.exceptions import ConfigurationError
from ..recipes.session import config as session_config
from .frameworks import BaseResponse, as_sdk_request

T = TypeVar("T")


class InputOverrideConfig(override_config.InputOverrideConfig):
    """The overrides of one recipe; those of APIs find `api_options.request` and `.response` of the SDK's kind."""

    def __init__(
        self,
        functions: Callable[..., Any] | None = None,
        apis: Callable[..., Any] | None = None,
        openid_feature: object = None,
    ) -> None:
        if openid_feature is not None:
            raise ConfigurationError("override.openid_feature: coatcheck has no openid recipe that could be overridden")
        super().__init__(functions, _with_sdk_layers(apis) if callable(apis) else apis)


def _with_sdk_layers(override: Callable[..., Any]) -> Callable[..., Any]:
    """Return an override function that puts one more layer over each API that `override` replaces."""

    def functions(original: Any) -> Any:
        names = operation_names(original.__class__)
        before = {name: getattr(original, name) for name in names}
        returned = override(original)
        if returned is original:
            for name in names:
                replaced = getattr(original, name)
                if replaced is not None and replaced is not before[name]:
                    setattr(original, name, _with_sdk_options(replaced, returns_nothing=name in _RETURN_NOTHING))
        return returned

    functions.__name__ = getattr(override, "__name__", "override")
    return functions


_RETURN_NOTHING = frozenset({"apple_redirect_handler_post"})
"""The APIs that write their answer to the response; all others return their answer."""


def _with_sdk_options(api: Callable[..., Any], *, returns_nothing: bool) -> Callable[..., Any]:
    async def layer(**arguments: Any) -> Any:
        options = arguments["api_options"]
        request = as_sdk_request(options.request)
        response = options.response = BaseResponse()
        result = await api(**arguments)
        if options.response is response:
            options.response = _response_to_send(response, request, whole=returns_nothing and result is None)
        return result

    return layer


def _response_to_send(response: BaseResponse, request: Request, *, whole: bool) -> Response | None:
    """Return the response if it is the whole answer of an API, None if it only adds headers to the answer."""
    if whole and response.is_written:
        return response.to_starlette()
    response.add_to_answer(request)
    return None


class InputErrorHandlers(session_config.InputErrorHandlers):
    """The answers of an application to session errors; each gets a request and a response of the SDK's kind."""

    def __init__(
        self,
        on_token_theft_detected: Callable[..., Any] | None = None,
        on_try_refresh_token: Callable[..., Any] | None = None,
        on_unauthorised: Callable[..., Any] | None = None,
        on_invalid_claim: Callable[..., Any] | None = None,
        on_clear_duplicate_session_cookies: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(
            _error_handler(_with_recipe_user(on_token_theft_detected)),
            _error_handler(on_try_refresh_token),
            _error_handler(on_unauthorised),
            _error_handler(on_invalid_claim),
            _error_handler(on_clear_duplicate_session_cookies),
        )


def _with_recipe_user(handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a handler of a theft that takes the recipe user id, which older handlers do not take."""
    if handler is None or len(inspect.signature(handler).parameters) != 4:
        return handler
    return lambda request, handle, user_id, _recipe_user_id, response: handler(request, handle, user_id, response)


def _error_handler(handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if handler is None:
        return None

    async def answer(request: Request, *arguments: Any) -> Any:
        *details, default = arguments
        given = await awaited(handler(as_sdk_request(request), *details, BaseResponse(default)))
        return given.to_starlette() if isinstance(given, BaseResponse) else given

    return answer


def with_sdk_request(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that passes its first argument, a request or None, to `function` as a request of the SDK."""

    def call(request: Request | None, *rest: Any) -> Any:
        return function(None if request is None else as_sdk_request(request), *rest)

    return call


class EmailDeliveryInterface(delivery.EmailDeliveryInterface, Generic[T]):
    """A way to deliver e-mail; the SDK writes the type of the variables in brackets: `EmailDeliveryInterface[Vars]`."""


class EmailDeliveryConfig(delivery.EmailDeliveryConfig, Generic[T]):
    """The delivery service of a recipe."""


class SMTPServiceInterface(delivery.SMTPServiceInterface, Generic[T]):
    """The two steps that send a mail over SMTP."""
