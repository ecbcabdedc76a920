"""How verified tokens are remembered."""

from __future__ import annotations

import threading

import pytest

from coatcheck.sessions.access_token import LONGEST_TOKEN, MOST_TOKENS, Entry, TokenCache, VerifiedToken
from coatcheck.sessions.signing_key import generate

KEY = generate().public_key()


def entry(number: int = 0) -> Entry:
    """Return an entry that can be told from others."""
    return Entry(VerifiedToken({"n": number}, "d", None), number, "d-1", KEY)


def test_a_token_is_remembered_exactly() -> None:
    """Only the very same text finds its entry."""
    cache = TokenCache()
    cache.put("token", entry(1))
    assert cache.get("token") == entry(1)
    assert cache.get("token ") is None
    assert cache.get("Token") is None


def test_the_number_of_tokens_is_bounded() -> None:
    """However many tokens are verified, no more than two thousand are kept."""
    cache = TokenCache()
    for number in range(5 * MOST_TOKENS):
        cache.put(str(number), entry(number))
        assert len(cache) <= MOST_TOKENS
    assert cache.get(str(5 * MOST_TOKENS - 1)) is not None
    assert cache.get("0") is None


def test_a_token_in_use_outlives_those_that_are_not() -> None:
    """A token looked up now and then survives any number of new ones."""
    cache = TokenCache(most_tokens=20)
    cache.put("mine", entry(-1))
    for number in range(1_000):
        cache.put(str(number), entry(number))
        if number % 9 == 0:
            assert cache.get("mine") == entry(-1)


@pytest.mark.parametrize(("length", "kept"), [(LONGEST_TOKEN, True), (LONGEST_TOKEN + 1, False)])
def test_very_long_tokens_are_not_kept(length: int, kept: bool) -> None:
    """Two thousand tokens are sixteen megabytes at most."""
    cache = TokenCache()
    cache.put("x" * length, entry())
    assert (cache.get("x" * length) is not None) is kept


def test_threads_neither_raise_nor_mix_up_tokens() -> None:
    """Without a lock, collisions lose entries at worst."""
    cache, wrong = TokenCache(most_tokens=50), []

    def work(offset: int) -> None:
        for number in range(offset, offset + 4_000):
            cache.put(str(number % 300), entry(number % 300))
            found = cache.get(str(number % 7))
            if found is not None and found != entry(number % 7):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) <= 50 + len(threads)
