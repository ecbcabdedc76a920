"""Password hashes: what is made, what is accepted, what is refused."""

from __future__ import annotations

import base64
import contextlib
import logging

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2d, Argon2i, Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given, settings, strategies as st

from coatcheck.recipes.emailpassword.passwords import (
    ARGON2_MAX_LANES,
    ARGON2_MAX_MEMORY_KIB,
    BCRYPT_MAX_COST,
    SCRYPT_MAX_LN,
    UNSAFE_MARK,
    ImportRefusedError,
    PasswordHasher,
    recognise,
)
from coatcheck.recipes.exceptions import RecipeError

from ...kit import python

SAFE = PasswordHasher()
UNSAFE = PasswordHasher(unsafe_for_tests=True)
SALT = "c29tZXNhbHRzb21lc2FsdA"
DIGEST = base64.b64encode(bytes(32)).rstrip(b"=").decode("ascii")


def b64(raw: bytes) -> str:
    """Return base64 as PHC strings write it."""
    return base64.b64encode(raw).rstrip(b"=").decode("ascii")


def scrypt_phc(password: bytes, *, ln: int = 10, r: int = 8, p: int = 1) -> str:
    """Return an scrypt hash as other libraries write it."""
    salt = b"0123456789abcdef"
    digest = Scrypt(salt=salt, length=32, n=2**ln, r=r, p=p).derive(password)
    return f"$scrypt$ln={ln},r={r},p={p}${b64(salt)}${b64(digest)}"


def bcrypt_hash(password: bytes, prefix: bytes = b"2b") -> str:
    """Return a cheap bcrypt hash with the given prefix."""
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).replace(b"$2b$", b"$" + prefix + b"$").decode("ascii")


def test_new_hashes_are_argon2id_phc_strings() -> None:
    """A new hash names Argon2id version 1.3 with 19 MiB, two iterations and one lane."""
    assert SAFE.hash("correct horse 1").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_hash_verifies_only_its_own_password() -> None:
    """A hash matches the password it was made of, and no other."""
    stored = SAFE.hash("correct horse 1")
    assert SAFE.verify("correct horse 1", stored)
    assert not SAFE.verify("correct horse 2", stored)


def test_every_hash_has_its_own_salt() -> None:
    """Two hashes of one password differ."""
    assert UNSAFE.hash("same 1") != UNSAFE.hash("same 1")


@settings(max_examples=50)
@given(st.text(max_size=120), st.text(max_size=120))
def test_passwords_are_compared_whole(password: str, other: str) -> None:
    """No two different texts share a hash, whatever characters, case or length they have."""
    assert UNSAFE.verify(other, UNSAFE.hash(password)) is (password == other)


def test_half_a_surrogate_pair_is_a_password() -> None:
    """JSON can carry half a surrogate pair: it is hashed like any other text."""
    assert UNSAFE.verify("\ud800 password 1", UNSAFE.hash("\ud800 password 1"))
    assert not UNSAFE.verify("\ud801 password 1", UNSAFE.hash("\ud800 password 1"))


def test_fast_hashes_are_refused_without_the_flag(caplog: pytest.LogCaptureFixture) -> None:
    """A hash of the fast profile matches nothing in an App without `unsafe_for_tests`, and the log says why."""
    stored = UNSAFE.hash("correct horse 1")
    with caplog.at_level(logging.WARNING, "coatcheck.passwords"):
        assert not SAFE.verify("correct horse 1", stored)
    assert "fast profile" in caplog.text
    assert stored not in caplog.text


def test_fast_hashes_cannot_be_imported_without_the_flag() -> None:
    """Importing a hash of the fast profile is refused by an App without `unsafe_for_tests`."""
    stored = UNSAFE.hash("correct horse 1")
    UNSAFE.check_import(stored)
    with pytest.raises(ImportRefusedError, match="fast profile"):
        SAFE.check_import(stored)


def test_fast_hash_without_its_mark_is_refused() -> None:
    """Taking the mark off a fast hash does not help: its cost is below what is accepted."""
    bare = UNSAFE.hash("correct horse 1").removeprefix(UNSAFE_MARK)
    for hasher in (SAFE, UNSAFE):
        assert not hasher.verify("correct horse 1", bare)


def test_mark_admits_nothing_but_the_fast_profile() -> None:
    """Even with the flag, the mark is no way round the bounds of cost."""
    for rest in ("", "x", "$$", f"$argon2id$v=19$m=4194304,t=9,p=1${SALT}${DIGEST}"):
        assert not UNSAFE.verify("x", UNSAFE_MARK + rest)


def test_app_for_tests_accepts_real_hashes() -> None:
    """An App with the flag checks ordinary hashes too."""
    assert UNSAFE.verify("correct horse 1", SAFE.hash("correct horse 1"))


def test_dummy_never_matches() -> None:
    """The check made for an unknown e-mail address says no."""
    assert not SAFE.verify_dummy("anything")
    assert not UNSAFE.verify_dummy("")


def test_dummy_costs_what_a_real_hash_costs() -> None:
    """The check for an unknown e-mail address uses the parameters of a new hash."""
    assert not SAFE.needs_rehash(SAFE._dummy.phc)  # type: ignore[attr-defined]


def test_rehash_is_asked_for_when_parameters_differ() -> None:
    """A hash made with other parameters, or of another kind, is to be replaced at sign-in."""
    weaker = Argon2id(salt=bytes(16), length=32, iterations=1, lanes=1, memory_cost=1024).derive_phc_encoded(b"x")
    assert SAFE.needs_rehash(weaker)
    assert SAFE.needs_rehash(bcrypt_hash(b"x"))
    assert SAFE.needs_rehash(scrypt_phc(b"x"))
    assert not SAFE.needs_rehash(SAFE.hash("x"))


def test_fast_profile_never_replaces_a_real_hash() -> None:
    """An App for tests does not ask to rehash what an ordinary App has made, nor its own."""
    assert not UNSAFE.needs_rehash(SAFE.hash("x"))
    assert not UNSAFE.needs_rehash(UNSAFE.hash("x"))


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_bcrypt_hashes_are_checked(prefix: bytes) -> None:
    """Imported bcrypt hashes of the three sound prefixes match their password."""
    stored = bcrypt_hash(b"correct horse 1", prefix)
    SAFE.check_import(stored)
    assert SAFE.verify("correct horse 1", stored)
    assert not SAFE.verify("correct horse 2", stored)


def test_bcrypt_reads_72_bytes() -> None:
    """What follows the 72nd byte of a password is ignored for a bcrypt hash, as when it was made."""
    long = "é" * 36
    stored = bcrypt_hash(long.encode())
    assert SAFE.verify(long, stored)
    assert SAFE.verify(long + "whatever", stored)
    assert not SAFE.verify(long[:-1], stored)


def test_bcrypt_of_the_defective_kind_is_refused() -> None:
    """The prefix $2x$ marks hashes made by a defective implementation: refused."""
    with pytest.raises(ImportRefusedError, match=r"\$2x\$"):
        SAFE.check_import(bcrypt_hash(b"x", b"2x"))


@pytest.mark.slow
def test_bcrypt_needs_its_extra() -> None:
    """Without the extra, a bcrypt hash is refused at import with a sentence that names it, and matches nothing."""
    program = f"""
import sys
sys.modules["bcrypt"] = None
from coatcheck.recipes.emailpassword.passwords import ImportRefusedError, PasswordHasher
hasher = PasswordHasher(unsafe_for_tests=True)
assert not hasher.verify("x", {bcrypt_hash(b"x")!r})
try:
    hasher.check_import({bcrypt_hash(b"x")!r})
except ImportRefusedError as refused:
    print(refused)
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert "pip install 'coatcheck[bcrypt]'" in done.stdout


def test_scrypt_hashes_are_checked() -> None:
    """An imported scrypt PHC string matches its password."""
    stored = scrypt_phc(b"correct horse 1")
    SAFE.check_import(stored)
    assert SAFE.verify("correct horse 1", stored)
    assert not SAFE.verify("correct horse 2", stored)


@pytest.mark.parametrize("variant", [Argon2i, Argon2d])
def test_other_argon2_variants_are_refused_by_name(variant: type[Argon2i] | type[Argon2d]) -> None:
    """Argon2i and Argon2d hashes are refused at import, and match nothing."""
    stored = variant(salt=bytes(16), length=32, iterations=1, lanes=1, memory_cost=1024).derive_phc_encoded(b"x")
    with pytest.raises(ImportRefusedError, match="only Argon2id"):
        SAFE.check_import(stored)
    assert not SAFE.verify("x", stored)


def test_argon2id_with_other_parameters_is_imported() -> None:
    """Argon2id hashes of other libraries are accepted within the bounds."""
    stored = Argon2id(salt=bytes(8), length=16, iterations=1, lanes=2, memory_cost=1024).derive_phc_encoded(b"x")
    SAFE.check_import(stored)
    assert SAFE.verify("x", stored)


@pytest.mark.parametrize(
    "stored",
    [
        f"$argon2id$v=19$m={ARGON2_MAX_MEMORY_KIB + 1},t=1,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m={ARGON2_MAX_MEMORY_KIB},t=5,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=19456,t=4000000000,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p={ARGON2_MAX_LANES + 1}${SALT}${DIGEST}",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
        f"$scrypt$ln={SCRYPT_MAX_LN + 1},r=1,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=9999,r=1,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=1,r=8,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=18,r=9,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=14,r=8,p=17${SALT}${DIGEST}",
        f"$scrypt$ln=14,r=1073741824,p=1${SALT}${DIGEST}",
        f"$2b${BCRYPT_MAX_COST + 1}${'a' * 53}",
        f"$2b$03${'a' * 53}",
        f"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}$c2FsdA",
        f"$scrypt$ln=14,r=8,p=1${SALT}$c2FsdA",
    ],
)
def test_absurd_costs_are_refused_at_import(stored: str) -> None:
    """A cost that would stall the server, or protect nothing, is refused at import and never computed at sign-in."""
    with pytest.raises(ImportRefusedError, match="accepted is"):
        SAFE.check_import(stored)
    assert not SAFE.verify("x", stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plaintext",
        "$",
        "$argon2id$",
        f"$argon2id$v=16$m=19456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$m=19456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$t=2,m=19456,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}${DIGEST}\n",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}=${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p=1$A${DIGEST}",
        f"$argon2id$v=19$m=019456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=١٩٤٥٦,t=2,p=1${SALT}${DIGEST}",
        "$f_scrypt$abc$def$m=14$r=8$s=Bw==",
        "$2b$10$short",
        f"$2b$1x${'a' * 53}",
        f"$2b$10${'a' * 53}\n",
        f"$2b$10${'=' * 53}",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "{SSHA}abcdefgh",
    ],
)
def test_unknown_formats_are_refused_at_import(stored: str) -> None:
    """A text that is no hash of a known format is refused at import, is not quoted, and matches nothing."""
    with pytest.raises(ImportRefusedError) as refusal:
        SAFE.check_import(stored)
    assert len(stored) < 12 or stored not in str(refusal.value)
    assert not SAFE.verify("x", stored)


def test_refusal_belongs_to_the_error_tree() -> None:
    """ImportRefusedError is a RecipeError and a ValueError."""
    assert issubclass(ImportRefusedError, RecipeError)
    assert issubclass(ImportRefusedError, ValueError)


@settings(max_examples=300)
@given(
    st.text(max_size=80)
    | st.from_regex(r"\$(argon2id\$v=19|scrypt|2b)\$[mltrpn=0-9,]{0,12}\$[A-Za-z0-9+/]{0,30}\$[A-Za-z0-9+/]{0,30}")
)
def test_recognising_never_fails_otherwise(stored: str) -> None:
    """Whatever text is offered, it is recognised or refused: nothing else is raised."""
    with contextlib.suppress(ImportRefusedError):
        recognise(stored)


def test_only_the_fast_profile_is_cheap() -> None:
    """An App for tests that holds a real hash has to take its time over it; a real App over every one."""
    fast, real = PasswordHasher(unsafe_for_tests=True), PasswordHasher()
    cheap, dear = fast.hash("correct horse 1"), real.hash("correct horse 1")
    assert (fast.is_cheap(), fast.is_cheap(cheap), fast.is_cheap(dear)) == (True, True, False)
    assert (real.is_cheap(), real.is_cheap(cheap), real.is_cheap(dear)) == (False, False, False)
