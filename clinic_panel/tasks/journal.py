"""What one peer was sent since the database was last told: the page cache outlives a killed worker.

The database is told of answers in groups, because each commit waits for the disk. Between two of
them every object leaves two short records in a file: when it is begun, and how it was answered.
After a kill all answers are known, and at most one object is in doubt.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

_RECORD = struct.Struct("<qq")
_BEGUN = -1


class Journal:
    """The records of one peer; one worker at a time has it open."""

    def __init__(self, path: Path) -> None:
        """Open it; what an earlier worker left is in ``answers`` and ``doubtful``.

        Parameters
        ----------
        path
            Made when it is missing, with its folder.
        """
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        size = os.fstat(self._fd).st_size
        left = os.read(self._fd, size - size % _RECORD.size)
        self.answers: dict[int, int] = {}
        self.doubtful: int | None = None
        for forwarding_id, status in _RECORD.iter_unpack(left):
            self._note(forwarding_id, status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def begin(self, forwarding_id: int) -> None:
        """Say that an object is about to be sent."""
        self._write(forwarding_id, _BEGUN)

    def answer(self, forwarding_id: int, status: int) -> None:
        """Say how it was answered."""
        self._write(forwarding_id, status)

    def clear(self) -> None:
        """Forget the answers: the database has them. An object in doubt stays."""
        self.answers = {}
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        if self.doubtful is not None:
            self._write(self.doubtful, _BEGUN)

    def trust(self) -> None:
        """Forget the object in doubt: it is known now whether it arrived."""
        self.doubtful = None

    def _write(self, forwarding_id: int, status: int) -> None:
        os.write(self._fd, _RECORD.pack(forwarding_id, status))
        self._note(forwarding_id, status)

    def _note(self, forwarding_id: int, status: int) -> None:
        if status == _BEGUN:
            self.doubtful = forwarding_id
        else:
            self.answers[forwarding_id] = status
            self.doubtful = None
