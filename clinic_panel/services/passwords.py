"""Passwords: what makes one good enough, and how it is kept."""

import base64
import hashlib
import hmac
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from clinic_panel.errors import Invalid

MIN_LENGTH = 12
MAX_LENGTH = 1024
MIN_DISTINCT = 5  # characters; "aaaaaaaaaaaa" is long and no secret

# argon2id above OWASP ASVS 5.0 (19 MiB, two passes); one lane, since many may sign in at once.
HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
# Of a random password with the same cost: an unknown name takes as long as a known one.
NOBODY = (
    "$argon2id$v=19$m=32768,t=3,p=1$BHrJozD0hEw0uN9qiaBGTA"
    "$rjue6TrVOqCIVKasSd0yP/Bf2J5JHtq2Fb/JpPfZi5I"
)


def check_policy(password: str, username: str) -> None:
    """Let pass a password that is hard enough to guess; length counts, not composition.

    Raises
    ------
    Invalid
        The message says what is missing.
    """
    text = _normal(password)
    if len(text) < MIN_LENGTH:
        raise Invalid(f"A password has at least {MIN_LENGTH} characters.", field="password")
    if len(text) > MAX_LENGTH:
        raise Invalid(f"A password has at most {MAX_LENGTH} characters.", field="password")
    if len(set(text)) < MIN_DISTINCT:
        raise Invalid("This password repeats too few characters.", field="password")
    if username and username in text.casefold():
        raise Invalid("A password must not contain the user name.", field="password")


def hash_password(secret: bytes, password: str) -> str:
    """Return what is kept instead of the password.

    Parameters
    ----------
    secret
        The clinic's secret, which is not in the database: a stolen table alone cannot be guessed.
    """
    return HASHER.hash(_peppered(secret, password))


def matches(secret: bytes, kept: str | None, password: str) -> bool:
    """Whether the password is the one kept; takes as long when there is none to compare with."""
    try:
        HASHER.verify(kept or NOBODY, _peppered(secret, password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether the hash was made at another cost than today's."""
    return HASHER.check_needs_rehash(kept)


def _peppered(secret: bytes, password: str) -> bytes:
    key = hmac.digest(secret, b"password", hashlib.sha256)
    text = _normal(password)[: MAX_LENGTH + 1].encode(errors="surrogatepass")
    return base64.b64encode(hmac.digest(key, text, hashlib.sha256))


def _normal(password: str) -> str:
    # Keyboards differ in how they compose an umlaut; the person typed the same password.
    return unicodedata.normalize("NFKC", password)
