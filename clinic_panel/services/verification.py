"""Does the archive still hold what the index says, byte for byte?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select

from clinic_panel.context import Context
from clinic_panel.errors import NotFound, NotUnderstood
from clinic_panel.models.imaging import Instance, InstanceConflict
from clinic_panel.models.user import Permission

SETTLED_S = 60  # a younger file may still be on its way into the index


class Difference(StrEnum):
    """How a file and its row can disagree."""

    MISSING = "the file is gone"
    ALTERED = "the bytes are not those that were received"
    UNREADABLE = "the file cannot be read"
    UNKNOWN = "the file has no row"


@dataclass(frozen=True, slots=True)
class Expected:
    """What one row says of its file; ``name`` is a row id, never a UID."""

    name: str
    path: str
    sha256: str


def expected(ctx: Context, sample: int | None = None) -> list[Expected]:
    """Return what there is to check: everything, or so many taken at random.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    found = []
    with ctx.read() as session:
        for kind in (Instance, InstanceConflict):
            query = select(kind.id, kind.path, kind.sha256)
            if sample is not None:
                query = query.order_by(func.random()).limit(sample)
            found += [
                Expected(f"{kind.__tablename__} {id_}", path, sha256)
                for id_, path, sha256 in session.execute(query)
            ]
    return found[:sample] if sample is not None else found


def check(ctx: Context, item: Expected) -> Difference | None:
    """Read one file again and compare it with its row; None when all is well."""
    try:
        digest, _ = ctx.store.digests(item.path)
    except NotFound:
        return Difference.MISSING
    except NotUnderstood:
        return Difference.ALTERED
    except OSError:
        return Difference.UNREADABLE
    return None if digest == item.sha256 else Difference.ALTERED


def strangers(ctx: Context) -> Iterator[str]:
    """Yield the paths, below the archive, of files that no row knows.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    known = {item.path for item in expected(ctx)}
    settled = time.time() - SETTLED_S  # the file system's clock, not the clinic's
    for stored in ctx.store.sweep(lambda paths: _among(paths, known)):
        if ctx.store.path(stored.path).stat().st_mtime < settled:
            yield stored.path


def _among(paths: Sequence[str], known: set[str]) -> set[str]:
    return known.intersection(paths)
