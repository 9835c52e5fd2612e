"""A data set found in bytes or in a file: where it starts, how it is written; inflated."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.elements import Buffer, Elements, Syntax

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE: Final = "1.2.840.10008.1.2.1.99"
# PS3.5 A.5, A.7, A.9: deflated explicit little endian; the pixels of the last two lie elsewhere.
DEFLATED: Final = frozenset({DEFLATED_LITTLE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
GE_IMPLICIT_BIG_PIXELS: Final = "1.2.840.113619.5.2"

INFLATE_LIMIT_BYTES: Final = 512 * 2**20
INFLATE_RATIO: Final = 200
_INFLATE_STEP_BYTES: Final = 2**20
_PREAMBLE_BYTES: Final = 132
MOST_INFLATED_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set found in bytes: where it starts, how it is written."""

    buffer: Buffer
    start: int
    syntax: Syntax
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def syntax_of(transfer_syntax_uid: str) -> Syntax:
    """How a transfer syntax writes elements; private ones are taken as explicit little endian."""
    if transfer_syntax_uid in (IMPLICIT_LITTLE, GE_IMPLICIT_BIG_PIXELS):
        return Syntax(explicit=False)
    return Syntax(big=transfer_syntax_uid == EXPLICIT_BIG)


def open_data_set(
    data: Buffer,
    *,
    transfer_syntax_uid: str | None = None,
    keep_bytes: int = INFLATE_LIMIT_BYTES,
) -> Opened:
    """Find the data set in a DICOM file, or in bare bytes of a known transfer syntax.

    Parameters
    ----------
    data
        A file as in PS3.10 7 (preamble and file meta information may be missing, as in old files),
        or, with ``transfer_syntax_uid``, the data set alone.
    transfer_syntax_uid
        As negotiated, for a data set without file meta information.
    keep_bytes
        How much of a deflated data set is wanted. All of it is counted: more than 512 MiB, or than
        200 times its own size, is refused.

    Raises
    ------
    NotUnderstood
        No DICOM was found, or inflating would pass the limit.
    """
    class_uid = instance_uid = ""
    start = 0
    if transfer_syntax_uid is None:
        if bytes(data[128:132]) == b"DICM":
            start = _PREAMBLE_BYTES
        if bytes(data[start : start + 2]) == b"\x02\x00":
            meta = Elements(data, start, len(data), Syntax(), last_tag=0x0002FFFF)
            transfer_syntax_uid = meta.text(0x00020010) or None
            class_uid, instance_uid = meta.text(0x00020002), meta.text(0x00020003)
            start = meta.end
    if transfer_syntax_uid in DEFLATED:
        data, start = _inflate(data, start, keep_bytes), 0
    if transfer_syntax_uid:
        syntax = _as_written(data, start, syntax_of(transfer_syntax_uid))
    else:
        syntax = _guess(data, start)
    uid = transfer_syntax_uid or {
        (True, False): EXPLICIT_LITTLE,
        (True, True): EXPLICIT_BIG,
        (False, False): IMPLICIT_LITTLE,
    }.get((syntax.explicit, syntax.big), IMPLICIT_LITTLE)
    return Opened(data, start, syntax, uid, class_uid, instance_uid)


def _as_written(data: Buffer, start: int, declared: Syntax) -> Syntax:
    """Some writers declare an explicit syntax and write an implicit one, or the reverse."""
    vr = bytes(data[start + 4 : start + 6])
    if declared.big or len(vr) < 2:
        return declared
    return Syntax(explicit=vr.isalpha() and vr.isupper())


def _guess(data: Buffer, start: int) -> Syntax:
    """Tell the syntax of a file without meta information from its first element."""
    first = bytes(data[start : start + 6])
    if len(first) < 6 or not (first[0] in (2, 4, 8) or first[1] in (2, 4, 8)):
        raise NotUnderstood("This is not a DICOM object.")
    explicit = first[4:6].isalpha() and first[4:6].isupper()
    return Syntax(explicit=explicit, big=explicit and first[0] == 0 and first[1] != 0)


def _inflate(data: Buffer, start: int, keep_bytes: int) -> bytes:
    """Inflate a data set (PS3.5 A.5) up to ``keep_bytes``, counting the rest without keeping it."""
    packed = memoryview(data)[start:]
    limit = min(INFLATE_LIMIT_BYTES, max(2**20, INFLATE_RATIO * len(packed)))
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    kept, total = bytearray(), 0
    pending: Buffer = packed
    try:
        while pending and not engine.eof:
            part = engine.decompress(pending, _INFLATE_STEP_BYTES)
            pending = engine.unconsumed_tail
            total += len(part)
            if total > limit:
                raise NotUnderstood("The deflated object inflates beyond reason.")
            if len(kept) < keep_bytes:
                kept += part
    except zlib.error:
        raise NotUnderstood("The deflated object is damaged.") from None
    return bytes(kept)


@contextmanager
def opened_elements(source: Path | bytes) -> Iterator[Elements]:
    """Give the top level of a data set while it is open.

    Raises
    ------
    NotUnderstood
        No DICOM object.
    FileNotFoundError
        The file is gone.
    """
    if isinstance(source, bytes):
        yield _elements(source)
        return
    if source.stat().st_size == 0:
        raise NotUnderstood("The file is empty.")
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield _elements(cast("Buffer", view))


def _elements(data: Buffer) -> Elements:
    opened = open_data_set(data, keep_bytes=MOST_INFLATED_BYTES)
    return Elements(opened.buffer, opened.start, len(opened.buffer), opened.syntax)
