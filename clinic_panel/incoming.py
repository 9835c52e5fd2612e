"""One DICOM object on its way into the archive: written while it arrives, then kept or forgotten.

The order of a write is the promise of PS3.4 B.2.3 Success: temporary name, fsync of the file,
rename, fsync of the folder. A name never comes from the wire.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clinic_panel.errors import StorageFull

type Buffer = bytes | bytearray | memoryview

IOV_MAX = 512  # buffers a writev takes; POSIX promises 16, Linux 1024
WRITE_BACK_BYTES = 4 << 20  # objects larger than this are written back while they arrive
ROOM_CHECK_BYTES = 8 << 20  # how much may be written between two looks at the free space
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an object lies: digest of its data set, path below the root, size of the file."""

    sha256: str
    path: str
    size_bytes: int


class Incoming:
    """One object on its way in: a context that leaves no trace unless `keep` was called."""

    def __init__(
        self, root: Path, path: str, check_room: Callable[[int], None], prefix: Buffer
    ) -> None:
        """Begin a temporary file.

        Parameters
        ----------
        root
            Folder of the archive, where the object is kept in the end.
        path
            Name of the temporary file, on the same file system; nobody else has it.
        check_room
            Asked with the bytes that are wanted; raises `StorageFull`.
        prefix
            Preamble and file meta information: written in front, not part of the digest.

        Raises
        ------
        StorageFull
            There is no room; nothing was written.
        """
        check_room(len(prefix))
        self._root, self._path, self._check_room = root, path, check_room
        self._hash = hashlib.sha256()
        self._size = 0
        self._checked = self._flushed = 0
        with _translated():
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the sweep sees that we live
        self._prefix: Buffer | None = prefix
        self._prefix_bytes = len(prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    @property
    def size_bytes(self) -> int:
        """Bytes written so far, the prefix included."""
        return self._size

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Append pieces of the data set, without joining or copying them.

        Raises
        ------
        StorageFull
            The disk is full or its reserve reached; the object cannot be kept.
        """
        parts = chunks if self._prefix is None else [self._prefix, *chunks]
        self._prefix = None
        for start in range(0, len(parts), IOV_MAX):
            self._append(parts[start : start + IOV_MAX])
        for chunk in chunks:  # while the disk is at work
            self._hash.update(chunk)

    def _append(self, part: Sequence[Buffer]) -> None:
        wanted = sum(map(len, part))
        if self._size + wanted - self._checked > ROOM_CHECK_BYTES:
            self._check_room(wanted)
            self._checked = self._size + wanted
        with _translated():
            written = os.writev(self._fd, part)
            if (
                written != wanted
            ):  # a nearly full disk or a signal: write the rest, or learn why not
                rest = memoryview(b"".join(part))[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        self._size += wanted
        if self._size - self._flushed >= WRITE_BACK_BYTES:
            _start_write_back(self._fd, self._flushed, self._size - self._flushed)
            self._flushed = self._size

    def first_bytes(self, count: int) -> bytes:
        """Read the beginning of what was written again, without the prefix."""
        return os.pread(self._fd, count, self._prefix_bytes)

    def keep(self) -> Stored:
        """Make the object durable under its own name; the same content twice is one file.

        Raises
        ------
        StorageFull
            The disk filled up at the last moment; nothing is kept.
        """
        if self._prefix is not None:
            self.write([])
        digest = self._hash.hexdigest()
        relative = relative_path(digest)
        folder = f"{self._root}/{os.path.dirname(relative)}"  # noqa: PTH120
        final = f"{self._root}/{relative}"
        with _translated():
            os.fsync(self._fd)
            try:
                size = os.stat(final).st_size  # noqa: PTH116 - there already: the first copy stays
                self.discard()
            except FileNotFoundError:
                size = self._size
                os.rename(self._path, final)  # noqa: PTH104
                self._close()
            # Also for a copy that was there: its writer may not have come this far yet.
            sync_folder(folder)
        return Stored(digest, relative, size)

    def discard(self) -> None:
        """Forget the object; harmless once it is kept or was discarded before."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def relative_path(digest: str) -> str:
    """Return where the object of this digest lies below the archive's folder."""
    return f"{digest[0]}/{digest[1]}/{digest}.dcm"


def sync_folder(folder: Path | str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from None
        raise


_SYNC_FILE_RANGE_WRITE = 2


def _start_write_back(fd: int, offset: int, length: int) -> None:
    """Ask the kernel to start writing what has arrived, so that the fsync at the end is short.

    It promises nothing by itself; where there is no sync_file_range (macOS) nothing happens.
    """
    call = _sync_file_range()
    if call is not None:
        call(fd, offset, length, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Any:
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call
