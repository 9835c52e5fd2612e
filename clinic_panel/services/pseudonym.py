"""Names that lead back to nobody: the same for the same thing at one clinic, different elsewhere.

Made with HMAC-SHA-256 under the clinic's secret, so that nobody without it can try identifiers out
(PS3.15 E.1.1 asks for consistent replacement).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from clinic_panel.context import Context

_KEY_HEX = 12  # 48 bits: no two of a million people share a key by chance worth naming


def key(ctx: Context, kind: str, value: object) -> str:
    """Return a short stable key, as ``P-3f9a0c12b4de``, for something of a kind."""
    return f"{kind[0].upper()}-{_digest(ctx, kind, str(value)).hex()[:_KEY_HEX]}"


def uid(ctx: Context, original: str) -> str:
    """Return the UID that stands for this one: below 2.25, from 128 bits (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(_digest(ctx, 'uid', original)[:16])}"


def export_key(ctx: Context) -> bytes:
    """Return the secret that de-identified copies are made with; workers may hold it.

    Another than that of the cohorts' keys: whoever has a copy cannot find it in their tables.
    """
    return _digest(ctx, "export", "")


def original[Row](ctx: Context, wanted: str, candidates: Iterable[tuple[str, Row]]) -> Row | None:
    """Return what belongs to the candidate whose UID, or whose replacement, is ``wanted``.

    Linear on purpose: a table that maps pseudonyms to people would have to be guarded itself, and
    a hundred thousand candidates take a fifth of a second.
    """
    wanted = wanted.strip()
    for candidate, row in candidates:
        if wanted == candidate or wanted == uid(ctx, candidate):
            return row
    return None


def _digest(ctx: Context, kind: str, value: str) -> bytes:
    return hmac.digest(ctx.settings.secret, f"pseudonym:{kind}:{value}".encode(), "sha256")
