"""What an SDK application hands to a recipe's `init`, made to meet the requests and responses it was written for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..claims.claim import settled
from ..recipes.chain import chain as override_config
from ..recipes.chain.operation import operation_names
from ..recipes.exceptions import ConfigurationError
from ..recipes.session import config as session_config
from .frameworks import BaseResponse, known_to_sdk


class InputOverrideConfig(override_config.InputOverrideConfig):
    """The overrides of one recipe; those of APIs find `api_options.request` and `.response` as the SDK has them."""

    def __init__(
        self,
        functions: Callable[..., Any] | None = None,
        apis: Callable[..., Any] | None = None,
        openid_feature: object = None,
    ) -> None:
        if openid_feature is not None:
            raise ConfigurationError("override.openid_feature: coatcheck has no openid recipe that could be overridden")
        super().__init__(functions, _meeting_sdk_options(apis) if callable(apis) else apis)


def _meeting_sdk_options(override: Callable[..., Any]) -> Callable[..., Any]:
    """Return the override function with one more layer over each API that it replaces."""

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
"""The APIs whose answer is the response that they write; all others return what is answered."""


def _with_sdk_options(api: Callable[..., Any], *, returns_nothing: bool) -> Callable[..., Any]:
    async def layer(**arguments: Any) -> Any:
        options = arguments["api_options"]
        request = known_to_sdk(options.request)
        response = options.response = BaseResponse()
        result = await api(**arguments)
        if options.response is response:
            options.response = _settled(response, request, whole=returns_nothing and result is None)
        return result

    return layer


def _settled(response: BaseResponse, request: Request, *, whole: bool) -> Response | None:
    """Return the response itself if it is the whole answer of an API, None where it only adds to the answer."""
    if whole and response.is_written:
        return response.to_starlette()
    response.lay_over_answer(request)
    return None


class InputErrorHandlers(session_config.InputErrorHandlers):
    """An application's own answers to session errors, each given a request and a response as the SDK has them."""

    def __init__(
        self,
        on_token_theft_detected: Callable[..., Any] | None = None,
        on_try_refresh_token: Callable[..., Any] | None = None,
        on_unauthorised: Callable[..., Any] | None = None,
        on_invalid_claim: Callable[..., Any] | None = None,
        on_clear_duplicate_session_cookies: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(
            _error_handler(_of_recipe_user(on_token_theft_detected)),
            _error_handler(on_try_refresh_token),
            _error_handler(on_unauthorised),
            _error_handler(on_invalid_claim),
            _error_handler(on_clear_duplicate_session_cookies),
        )


def _of_recipe_user(handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a handler of a theft that takes the recipe user id, which those of the seed's time did not."""
    if handler is None or len(inspect.signature(handler).parameters) != 4:
        return handler
    return lambda request, handle, user_id, _recipe_user_id, response: handler(request, handle, user_id, response)


def _error_handler(handler: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if handler is None:
        return None

    async def answer(request: Request, *told: Any) -> Any:
        *facts, default = told
        given = await settled(handler(known_to_sdk(request), *facts, BaseResponse(default)))
        return given.to_starlette() if isinstance(given, BaseResponse) else given

    return answer


def given_sdk_request(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose first argument is a request (or None) that knows the words of the SDK."""

    def call(request: Request | None, *rest: Any) -> Any:
        return function(None if request is None else known_to_sdk(request), *rest)

    return call
