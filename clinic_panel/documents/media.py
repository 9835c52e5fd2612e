"""Files to carry away: a DICOM file-set with its DICOMDIR, a plain folder, a ZIP (PS3.10 8, F)."""

from __future__ import annotations

import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ImplicitVRLittleEndian

DIRECTORY: Final = "DICOMDIR"
_UNLISTED: Final = "UNLISTED"
_COMPRESS_LEVEL: Final = 1  # pixels: more takes longer and gains little
# Keys that a directory record must have (PS3.3 F.5), with what stands where an object has none.
_KEYS: Final[dict[str, str]] = {
    "PatientID": "NONE",
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "StudyID": "1",
    "Modality": "OT",
    "SeriesNumber": "0",
    "InstanceNumber": "0",
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "ContentLabel": "UNNAMED",
    "PresentationCreationDate": "19000101",
    "PresentationCreationTime": "000000",
    "StructureSetLabel": "UNNAMED",
    "DoseSummationType": "PLAN",
    "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED",
    "InstanceCreationDate": "19000101",
}
# Kept where they are: what kind of record it becomes, and what may stand in it.
_FOUND: Final = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "PatientName", "StudyDescription", "AccessionNumber", "ImageType"),
    *("RTPlanLabel", "StructureSetDate", "StructureSetTime", "RTPlanDate", "RTPlanTime"),
    *("ReferencedSeriesSequence", "ConceptNameCodeSequence", "ContentDescription"),
    *("ContentCreatorName", "DocumentTitle", "MIMETypeOfEncapsulatedDocument", "NumberOfFrames"),
    *("Rows", "Columns", "DataPointRows", "DataPointColumns", "VerificationDateTime"),
)
_DOCUMENTS: Final = "1.2.840.10008.5.1.4.1.1.104."

# What pydicom raises on objects that say too little, or nothing it understands.
_UNREADABLE: Final = (AttributeError, EOFError, LookupError, TypeError, ValueError, struct.error)

type Tick = Callable[[], Any]  # told of each file that is in its place


@dataclass(frozen=True, slots=True)
class Member:
    """One object to put on a medium; ``move`` takes the file away from where it is."""

    path: Path
    move: bool = False


def write_file_set(
    members: Sequence[Member], folder: Path, *, tick: Tick = lambda: None
) -> list[Path]:
    """Put objects into a folder with a DICOMDIR; names are short and say nothing.

    Returns
    -------
    list
        Files in the folder that the directory does not name, because they lack too much.
    """
    files = FileSet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their text quotes values
        try:
            unlisted = _write_listed(files, members, folder, tick)
        finally:
            # The keys lie there; else it warns when it is collected, and they lie there till then.
            files._stage["t"].cleanup()
    return [_unlisted(member, folder, n, tick) for n, member in enumerate(unlisted, start=1)]


def _write_listed(
    files: FileSet, members: Sequence[Member], folder: Path, tick: Tick
) -> list[Member]:
    """Write the file-set; return what it cannot name."""
    sources: dict[str, Member] = {}
    unlisted = []
    for member in members:
        try:
            entry = _entry(member.path)
            uid = str(entry.SOPInstanceUID)
            if uid in sources:
                raise ValueError
            files.add(entry)
        except _UNREADABLE:
            unlisted.append(member)
            continue
        sources[uid] = member
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder)
    # What was put there are the keys alone: pydicom would decode and write objects anew.
    for instance in files:
        _place(sources[str(instance.SOPInstanceUID)], Path(instance.path))
        tick()
    return unlisted


def write_folder(
    groups: Iterable[Sequence[Member]], folder: Path, *, tick: Tick = lambda: None
) -> None:
    """Put objects into a folder, those of one group into one below it."""
    for number, members in enumerate(groups, start=1):
        below = folder / f"SERIES{number:03d}"
        below.mkdir(parents=True, exist_ok=True)
        for position, member in enumerate(members, start=1):
            _place(member, below / f"IM{position:06d}.dcm")
            tick()


def zip_folder(folder: Path, target: Path) -> None:
    """Pack a folder; paths in the ZIP begin below it."""
    with zipfile.ZipFile(
        target, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESS_LEVEL
    ) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder))


def _entry(path: Path) -> Dataset:
    """Return what the directory needs to know of an object."""
    found = dcmread(path, force=True, stop_before_pixels=True, specific_tags=[*_FOUND, *_KEYS])
    entry = Dataset()
    for keyword in _FOUND:
        if keyword in found and not found[keyword].is_empty:
            entry[keyword] = found[keyword]
    for keyword, instead in _KEYS.items():
        if keyword in found and not found[keyword].is_empty:
            entry[keyword] = found[keyword]
        else:
            setattr(entry, keyword, instead)
    if str(entry.SOPClassUID).startswith(_DOCUMENTS):
        entry.EncapsulatedDocument = b"\0\0"  # makes it a record of a document
    meta = FileMetaDataset()
    named = getattr(getattr(found, "file_meta", None), "TransferSyntaxUID", None)
    meta.TransferSyntaxUID = named or ImplicitVRLittleEndian
    entry.file_meta = meta
    return entry


def _place(member: Member, target: Path) -> None:
    if member.move:
        os.replace(member.path, target)  # noqa: PTH105 - over the keys that lie there
    else:
        shutil.copyfile(member.path, target)


def _unlisted(member: Member, folder: Path, number: int, tick: Tick) -> Path:
    target = folder / _UNLISTED / f"U{number:07d}"
    target.parent.mkdir(exist_ok=True)
    _place(member, target)
    tick()
    return target
