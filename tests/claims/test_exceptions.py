"""The root of the tree of errors, and the branch of this layer."""

from __future__ import annotations

import pytest

from coatcheck.claims import ClaimError, ClaimKeyError, CoatcheckError, FetchSignatureError, ProtectedClaimError


@pytest.mark.parametrize("error", [ClaimKeyError, FetchSignatureError, ProtectedClaimError])
def test_every_error_of_the_layer_has_the_root(error: type[Exception]) -> None:
    """Whoever catches CoatcheckError or ClaimError catches what this layer raises."""
    assert issubclass(error, ClaimError)
    assert issubclass(error, CoatcheckError)


def test_errors_are_also_what_python_would_raise() -> None:
    """Wrong values are ValueErrors, wrong signatures are TypeErrors."""
    assert issubclass(ClaimKeyError, ValueError)
    assert issubclass(ProtectedClaimError, ValueError)
    assert issubclass(FetchSignatureError, TypeError)


def test_a_protected_claim_error_carries_the_names() -> None:
    """The error keeps the names in the order found and shows them."""
    error = ProtectedClaimError(name for name in ["sub", "exp"])
    assert error.names == ("sub", "exp")
    assert "sub, exp" in str(error)
