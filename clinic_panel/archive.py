"""DICOM bytes on disk, written atomically, found by content digest.

An object's identity is the SHA-256 of its *data set*, as received: the preamble and the file meta
information in front of it (PS3.10 7.1) name who wrote the file and who sent it, so the same image
from a second source differs there and only there. The file's own digest can be had at any time from
`Archive.digests`.

The order of a write is the promise of PS3.4 B.2.3 Success: temporary name, fsync of the file,
rename, fsync of the folder. A name never comes from the wire.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from clinic_panel.errors import NotFound, NotUnderstood, StorageFull

type Buffer = bytes | bytearray | memoryview

PREAMBLE = b"\0" * 128 + b"DICM"
IOV_MAX = 512  # buffers a writev takes; POSIX promises 16, Linux 1024
WRITE_BACK_BYTES = 4 << 20  # objects larger than this are written back while they arrive
ROOM_CHECK_BYTES = 8 << 20  # how much may be written between two looks at the free space
RESERVE_BYTES = 256 << 20  # kept free, so that audit and sign-in can still be written
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK = 1 << 20
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an object lies: digest of its data set, path below the root, size of the file."""

    sha256: str
    path: str
    size_bytes: int


class Archive:
    """A folder of DICOM files, two levels deep, each named by the digest of its data set."""

    def __init__(self, root: Path, *, reserve_bytes: int | None = None) -> None:
        """Open the archive, making its folders when they are missing.

        Parameters
        ----------
        root
            Folder of the archive; on one file system with everything below it.
        reserve_bytes
            Free space that is never used up; by default 256 MiB, or a twentieth of a small disk.
        """
        self.root = root
        self.incoming = root / "incoming"  # temporary files; what nobody holds is swept
        self._token, self._numbers = secrets.token_hex(8), itertools.count()
        self._started_at = time.time()
        self._make_folders()
        disk = os.statvfs(root)
        self.reserve_bytes = (
            min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 20)
            if reserve_bytes is None
            else reserve_bytes
        )

    def _make_folders(self) -> None:
        # 256 leaves hold ten million objects at 40,000 each, which ext4 and XFS index; all are made
        # at once, so that a write syncs one folder and never a chain of new ones.
        leaves = [self.root / first / second for first in _HEX for second in _HEX]
        missing = [folder for folder in (self.incoming, *leaves) if not folder.is_dir()]
        for folder in missing:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for parent in sorted({folder.parent for folder in missing}):
            _sync_folder(parent)
        if missing:
            self.root.chmod(0o700)
            _sync_folder(self.root)
            _sync_folder(self.root.parent)

    def free_bytes(self) -> int:
        """Return the free space above the reserve; negative when the reserve is touched."""
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize - self.reserve_bytes

    def new_name(self) -> str:
        """Return the path of a temporary file that nobody else has."""
        # A string, as all paths below: a Path costs more than the call it is made for.
        return f"{self.incoming}/{os.getpid()}-{self._token}-{next(self._numbers)}"

    def receiving(self, prefix: Buffer = PREAMBLE) -> "Incoming":
        """Begin an object whose size is not known yet.

        Parameters
        ----------
        prefix
            Preamble and file meta information: written in front, not part of the digest.

        Raises
        ------
        StorageFull
            The reserve is reached; nothing was written.
        """
        return Incoming(self, prefix)

    def put(self, part10: Buffer) -> Stored:
        """Keep one whole file in the DICOM File Format; keeping it again changes nothing.

        Raises
        ------
        NotUnderstood
            There is no file meta information.
        StorageFull
            The archive is as it was.
        """
        view = memoryview(part10)
        start = data_set_offset(view)
        with self.receiving(view[:start]) as incoming:
            incoming.write([view[start:]])
            return incoming.keep()

    def put_stream(self, part10: BinaryIO) -> Stored:
        """Keep one file read from a stream, in memory flat in its size; raises as `put`."""
        head = part10.read(_BLOCK)
        start = data_set_offset(memoryview(head))
        with self.receiving(head[:start]) as incoming:
            incoming.write([head[start:]])
            while block := part10.read(_BLOCK):
                incoming.write([block])
            return incoming.keep()

    def path(self, relative: str) -> Path:
        """Return the full path of a stored object.

        Raises
        ------
        NotFound
            The name is not one this archive gave.
        """
        name = Path(relative).name
        digest = name.removesuffix(".dcm")
        if len(digest) != 64 or set(digest) - set(_HEX) or relative != _relative(digest):
            raise NotFound
        return self.root / relative

    def open(self, relative: str) -> BinaryIO:
        """Open a stored object for reading, at its preamble.

        Raises
        ------
        NotFound
            There is no such file.
        """
        try:
            return self.path(relative).open("rb")
        except FileNotFoundError:
            raise NotFound from None

    def stored(self, relative: str) -> Stored:
        """Describe a kept object by its name, without reading it.

        Raises
        ------
        NotFound
            There is no such file.
        """
        path = self.path(relative)
        try:
            return Stored(path.stem, relative, path.stat().st_size)
        except FileNotFoundError:
            raise NotFound from None

    def remove(self, relative: str) -> None:
        """Forget an object that nothing refers to; harmless when it is gone.

        Raises
        ------
        NotFound
            The name is not one this archive gave.
        """
        self.path(relative).unlink(missing_ok=True)

    def digests(self, relative: str) -> tuple[str, str]:
        """Read a stored object again; return SHA-256 of its data set and of the whole file.

        Raises
        ------
        NotFound, NotUnderstood
            The file is gone, or no longer begins as it must.
        """
        with self.open(relative) as file:
            head = file.read(_BLOCK)
            start = data_set_offset(memoryview(head))
            data_set, whole = hashlib.sha256(head[start:]), hashlib.sha256(head)
            while block := file.read(_BLOCK):
                data_set.update(block)
                whole.update(block)
        return data_set.hexdigest(), whole.hexdigest()

    def sweep(self, has_row: Callable[[Sequence[str]], set[str]]) -> Iterator[Stored]:
        """Remove what a killed writer left behind, and yield durable files that lack a row.

        A temporary goes only when it is older than this archive object *and* its writer no longer
        holds its lock, so that another process which is receiving meanwhile loses nothing.

        Parameters
        ----------
        has_row
            Asked with relative paths, one folder at a time; returns those the index knows.
        """
        self._remove_temporaries()
        for first in _HEX:
            for second in _HEX:
                folder = self.root / first / second
                names = sorted(f"{first}/{second}/{path.name}" for path in folder.iterdir())
                known = has_row(names) if names else set()
                for relative in names:
                    if relative not in known:
                        with contextlib.suppress(NotFound):
                            yield self.stored(relative)

    def _remove_temporaries(self) -> None:
        with os.scandir(self.incoming) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # its writer is done with it
                    if entry.stat(follow_symlinks=False).st_mtime < self._started_at:
                        _remove_unless_locked(entry.path)

    def _check_room(self, wanted_bytes: int) -> None:
        if self.free_bytes() < wanted_bytes:
            raise StorageFull


class Incoming:
    """One object on its way in: a context that leaves no trace unless `keep` was called."""

    def __init__(self, archive: Archive, prefix: Buffer) -> None:
        archive._check_room(len(prefix))
        self._archive = archive
        self._hash = hashlib.sha256()
        self._path = archive.new_name()
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
            self._archive._check_room(wanted)
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
        relative = _relative(digest)
        folder = f"{self._archive.root}/{os.path.dirname(relative)}"  # noqa: PTH120
        final = f"{self._archive.root}/{relative}"
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
            _sync_folder(folder)
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


def data_set_offset(head: memoryview) -> int:
    """Return where the data set begins in a file of the DICOM File Format (PS3.10 7.1).

    Parameters
    ----------
    head
        The file's beginning; it must reach past the file meta information.

    Raises
    ------
    NotUnderstood
        The preamble, the group length (0002,0000) or the bytes it promises are missing.
    """
    start = len(PREAMBLE)
    group_length = b"\x02\0\0\0UL\x04\0"
    if bytes(head[start - 4 : start + 8]) != b"DICM" + group_length:
        raise NotUnderstood
    end = start + 12 + int.from_bytes(head[start + 8 : start + 12], "little")
    if end > len(head):
        raise NotUnderstood
    return end


def _relative(digest: str) -> str:
    return f"{digest[0]}/{digest[1]}/{digest}.dcm"


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from None
        raise


def _sync_folder(folder: Path | str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_unless_locked(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # its writer finished meanwhile, or it is no file of ours
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108 - scandir's own string
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        os.close(fd)


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
