"""A whole data set opened for reading by tag, from a mapped file or from bytes."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.elements import Buffer, Elements, open_data_set

MOST_INFLATED_BYTES: Final = 64 * 2**20


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
