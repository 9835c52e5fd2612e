"""What the flight recorder notes of one association: requests, counts, contexts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dsutils import decode

from clinic_panel.imaging import charset
from clinic_panel.models.flight import Ending, Service
from clinic_panel.services.flight import Asked, Flight

IDENTIFIER_BYTES = 1 << 16  # a longer one is not explained
_WARNING_OR_SUCCESS = frozenset({0x0000, 0xFE00, 0x0001, 0x0107, 0x0116})


@dataclass(slots=True)
class Request:
    """One request on its way; of counted ones, all that came so far."""

    at: datetime
    began: float
    service: Service
    sop_class_uid: str = ""
    received_bytes: int = 0
    answers: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    comment: str = ""
    identifier: bytes = b""
    syntax: UID | None = None
    destination: str = ""  # of a C-MOVE
    took_s: float = 0.0

    def done(self) -> Asked:
        """Return it as it is kept; the identifier is decoded by whoever writes it down."""
        return Asked(
            at=self.at,
            service=self.service,
            sop_class_uid=self.sop_class_uid,
            duration_ms=round(self.took_s * 1000),
            received_bytes=self.received_bytes,
            answers=self.answers,
            statuses=dict(self.statuses),
            comment=self.comment,
        )


class Notes:
    """One association as it goes; written by its threads, read by the writer."""

    def __init__(self, association: Association, now: datetime) -> None:
        requestor = association.requestor
        request = requestor.primitive
        self.flight = Flight(
            id=None,
            started_at=now,
            calling_ae_title=request.calling_ae_title.strip() if request else "",
            called_ae_title=request.called_ae_title.strip() if request else "",
            address=requestor.address or "",
            implementation=_implementation(association) if request else "",
        )
        self.pending: dict[tuple[bool, int], Request] = {}
        self.counted: dict[tuple[Service, str], Request] = {}
        self.requests: Counter[str] = Counter()
        self.failures = self.instances = self.received_bytes = self.listed = 0
        self.ending: tuple[Ending, str] | None = None
        self.changed = True
        self.written_at = 0.0

    def snapshot(self, asked: Sequence[Asked] = ()) -> Flight:
        """Return the association as it stands."""
        return replace(
            self.flight,
            requests=dict(self.requests),
            failures=self.failures,
            instances=self.instances,
            received_bytes=self.received_bytes,
            asked=tuple(asked),
        )

    def count(self, service: Service, status: int | None) -> None:
        """Count one request that was answered."""
        self.requests[service] += 1
        self.changed = True
        if status is not None and not is_well(status):
            self.failures += 1

    def stored(self, sop_class_uid: str, size: int, status: int) -> bool:
        """Count one more object of a class; False when it is the first."""
        known = self.counted.get((Service.STORE, sop_class_uid))
        if known is None:
            return False
        known.statuses[f"{status:04X}"] += 1
        known.received_bytes += size
        known.took_s = time.monotonic() - known.began
        return True

    def add(self, request: Request, now: float) -> None:
        """Join a counted request to those of its kind."""
        key = (request.service, request.sop_class_uid)
        known = self.counted.setdefault(key, request)
        if known is not request:
            known.statuses.update(request.statuses)
            known.received_bytes += request.received_bytes
        known.took_s = now - known.began


def _implementation(association: Association) -> str:
    requestor = association.requestor
    name = requestor.implementation_version_name or ""
    return " ".join(filter(None, (str(name), str(requestor.implementation_class_uid or ""))))


def is_well(status: int) -> bool:
    """Whether a status is Success, Cancel or a warning (PS3.7 C)."""
    return status in _WARNING_OR_SUCCESS or status & 0xF000 == 0xB000


def asked_of(request: Request) -> Asked:
    """Return a finished request as it is kept, with its identifier decoded if that can be."""
    asked, syntax = request.done(), request.syntax
    if syntax is None or not 0 < len(request.identifier) <= IDENTIFIER_BYTES:
        return asked
    try:
        identifier = decode(
            BytesIO(request.identifier),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            syntax.is_deflated,
        )
        charset.assume_utf_8(identifier)
        for _ in identifier:  # values are read late: here, what is broken does no harm
            pass
    except Exception:  # noqa: BLE001 - the peer was told already
        return asked
    if request.destination:
        identifier.MoveDestination = request.destination
    return replace(asked, identifier=identifier)


def contexts_of(association: Association) -> tuple[dict[str, Any], ...]:
    """Return what was offered, what was chosen, and the result of each (PS3.8 Table 9-18)."""
    results: dict[int, Any] = dict(association._accepted_cx)
    results |= {context.context_id: context for context in association._rejected_cx}
    return tuple(
        {
            "abstract": str(offered.abstract_syntax),
            "offered": [str(uid) for uid in offered.transfer_syntax],
            "accepted": str(chosen.transfer_syntax[0]) if chosen.result == 0 else "",
            "result": int(chosen.result),
        }
        for offered in association.requestor.primitive.presentation_context_definition_list
        if (chosen := results.get(offered.context_id)) is not None
    )
