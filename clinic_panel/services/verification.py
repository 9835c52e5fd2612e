"""Does the archive still hold what the index says, byte for byte?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

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
    root = ctx.store.root
    for folder, _, names in os.walk(root):
        if Path(folder) == root / "incoming":
            continue
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            with suppress(FileNotFoundError):
                if relative not in known and path.lstat().st_mtime < settled:
                    yield relative
