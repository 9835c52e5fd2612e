"""Files from elsewhere into the archive: single objects, folders, ZIPs, DICOM media."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from clinic_panel.context import Context
from clinic_panel.errors import Invalid, NotFound, NotUnderstood
from clinic_panel.imaging.header import read_header
from clinic_panel.models.user import Permission
from clinic_panel.services import dicom
from clinic_panel.services.dicom import Received, Verdict

MOST_MEMBERS = 500_000
MOST_MEMBER_BYTES = 4 << 30
MOST_RATIO = 200  # a picture compresses three to ten times; two hundred times is a trap
RATIO_FROM_BYTES = 64 << 20
_DIRECTORY = "DICOMDIR"


class Taken(StrEnum):
    """What became of one file."""

    KEPT = "kept"
    AGAIN = "here already"
    REPLACED = "put in place of what was here"
    CONFLICT = "differs from what is here"
    SKIPPED = "no DICOM object"
    REFUSED = "refused"


_TAKEN = {
    Verdict.KEPT: Taken.KEPT,
    Verdict.AGAIN: Taken.AGAIN,
    Verdict.REPLACED: Taken.REPLACED,
    Verdict.CONFLICT: Taken.CONFLICT,
    Verdict.REJECTED: Taken.CONFLICT,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one member of a ZIP."""

    path: Path
    member: str = ""


def sources(paths: list[Path]) -> Iterator[Source]:
    """Yield every file below the paths, in order; links are not followed.

    Raises
    ------
    NotFound
        A path does not exist.
    Invalid
        A ZIP is damaged, encrypted or a trap.
    """
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path} does not exist.")
        if path.is_dir():
            yield from _folder(path)
        elif path.name == _DIRECTORY:  # the medium it lists lies beside it
            yield from _folder(path.parent)
        else:
            yield from _file(path)


def take(ctx: Context, batch: Sequence[Source]) -> list[Taken]:
    """Keep files and index them in one transaction; taking them again changes nothing.

    Raises
    ------
    StorageFull, Unavailable, Forbidden
        There is no point in going on.
    """
    ctx.require(Permission.DICOM_WRITE)
    kept = [_keep(ctx, source) for source in batch]
    received = [one for one in kept if isinstance(one, Received)]
    outcomes = iter(dicom.index_batch(ctx, received) if received else [])
    return [one if isinstance(one, Taken) else _TAKEN[next(outcomes).verdict] for one in kept]


def _keep(ctx: Context, source: Source) -> Received | Taken:
    if not source.member:
        return _keep_file(ctx, source.path)
    with tempfile.TemporaryDirectory(dir=ctx.settings.home) as folder:
        unpacked = Path(folder) / "object"
        try:
            with zipfile.ZipFile(source.path) as archive, archive.open(source.member) as packed:
                _copy_bounded(packed, unpacked)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error):
            return Taken.REFUSED
        return _keep_file(ctx, unpacked)


def _keep_file(ctx: Context, path: Path) -> Received | Taken:
    try:
        header = read_header(path)
        with path.open("rb") as file:
            return Received(header, ctx.store.put_stream(file))
    except NotUnderstood:
        return Taken.SKIPPED
    except OSError:
        return Taken.REFUSED


def _folder(folder: Path) -> Iterator[Source]:
    for root, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if name != _DIRECTORY and path.is_file() and not path.is_symlink():
                yield from _file(path)


def _file(path: Path) -> Iterator[Source]:
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        yield Source(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile:
        raise Invalid(f"{path.name} is a damaged ZIP.") from None
    _check_members(path, members)
    yield from (Source(path, info.filename) for info in members if _is_object(info.filename))


def _is_object(member: str) -> bool:
    return member.rsplit("/", 1)[-1] != _DIRECTORY


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(info.file_size for info in members)
    packed = max(1, path.stat().st_size)
    if len(members) > MOST_MEMBERS or any(i.file_size > MOST_MEMBER_BYTES for i in members):
        raise Invalid(f"{path.name} holds more than fits a clinic.")
    if size > RATIO_FROM_BYTES and size / packed > MOST_RATIO:
        raise Invalid(f"{path.name} would grow more than {MOST_RATIO} times: it looks like a trap.")
    if any(info.flag_bits & 1 for info in members):
        raise Invalid(f"{path.name} is encrypted.")


def _copy_bounded(packed: IO[bytes], target: Path) -> None:
    # What the directory of a ZIP says of its sizes may be a lie.
    left = MOST_MEMBER_BYTES
    with target.open("wb") as file:
        while block := packed.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise EOFError
            file.write(block)
