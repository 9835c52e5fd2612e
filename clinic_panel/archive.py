"""DICOM bytes on disk, written atomically, found by content digest.

An object's identity is the SHA-256 of its *data set*, as received: the preamble and the file meta
information in front of it (PS3.10 7.1) name who wrote the file and who sent it, so the same image
from a second source differs there and only there. The file's own digest can be had at any time from
`Archive.digests`.
"""

import contextlib
import fcntl
import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from clinic_panel.errors import NotFound, NotUnderstood, StorageFull
from clinic_panel.incoming import Buffer, Incoming, Stored, relative_path, sync_folder

PREAMBLE = b"\0" * 128 + b"DICM"
RESERVE_BYTES = 256 << 20  # kept free, so that audit and sign-in can still be written
_BLOCK = 1 << 20
_HEX = "0123456789abcdef"


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
            sync_folder(parent)
        if missing:
            self.root.chmod(0o700)
            sync_folder(self.root)
            sync_folder(self.root.parent)

    def free_bytes(self) -> int:
        """Return the free space above the reserve; negative when the reserve is touched."""
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize - self.reserve_bytes

    def new_name(self) -> str:
        """Return the path of a temporary file that nobody else has."""
        # A string, as all paths below: a Path costs more than the call it is made for.
        return f"{self.incoming}/{os.getpid()}-{self._token}-{next(self._numbers)}"

    def receiving(self, prefix: Buffer = PREAMBLE) -> Incoming:
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
        return Incoming(self.root, self.new_name(), self._check_room, prefix)

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
        if len(digest) != 64 or set(digest) - set(_HEX) or relative != relative_path(digest):
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
