"""Is what a device asks about still here, byte for byte? What the worker does for commitment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, update

from clinic_panel.archive import Archive
from clinic_panel.context import Context
from clinic_panel.dimse.model import CLASS_CONFLICT, NO_SUCH_INSTANCE, PROCESSING_FAILURE
from clinic_panel.errors import NotFound, NotUnderstood
from clinic_panel.models.commitment import CommitmentItem
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Permission


@dataclass(frozen=True, slots=True)
class Unchecked:
    """One instance to look at, beside what the index says of it (empty: nothing)."""

    item_id: int
    sop_class_uid: str
    indexed_class_uid: str
    path: str
    sha256: str


def unchecked(ctx: Context, request_id: int, *, limit: int = 100) -> list[Unchecked]:
    """Return instances of a request that nobody looked at yet, in the order they were named."""
    ctx.require(Permission.JOB_RUN)
    query = (
        select(
            CommitmentItem.id,
            CommitmentItem.sop_class_uid,
            Instance.sop_class_uid,
            Instance.path,
            Instance.sha256,
        )
        .join(
            Instance,
            Instance.sop_instance_uid == CommitmentItem.sop_instance_uid,
            isouter=True,
        )
        .where(CommitmentItem.request_pk == request_id, CommitmentItem.reason.is_(None))
        .order_by(CommitmentItem.id)
        .limit(limit)
    )
    with ctx.read() as session:
        return [
            Unchecked(id_, asked, indexed or "", path or "", sha256 or "")
            for id_, asked, indexed, path, sha256 in session.execute(query)
        ]


def check(store: Archive, item: Unchecked) -> int:
    """Read one object off the disk and compare it; return 0 or the Failure Reason."""
    if not item.path:
        return NO_SUCH_INSTANCE
    if item.indexed_class_uid != item.sop_class_uid:
        return CLASS_CONFLICT
    try:
        digest, _ = store.digests(item.path)
    except NotFound:
        return NO_SUCH_INSTANCE
    except (NotUnderstood, OSError):
        return PROCESSING_FAILURE
    return 0 if digest == item.sha256 else PROCESSING_FAILURE


def note_checked(ctx: Context, reasons: Mapping[int, int]) -> None:
    """Keep what was found, by id of the item, so that nothing is read twice."""
    ctx.require(Permission.JOB_RUN)
    with ctx.begin() as session:
        session.execute(
            update(CommitmentItem),
            [{"id": item_id, "reason": reason} for item_id, reason in reasons.items()],
        )
