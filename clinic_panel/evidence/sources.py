"""The images a document speaks of: their headers and frames, each read once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.grid import Grid, Slice
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.subtraction import AS_SAID, Wish, can_be_subtracted, read_seen
from clinic_panel.imaging.volume import stack_of

# What every document repeats of its study: type 2, so absent in none, though senders leave it out.
_REPEATED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_MOMENTS = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
_SEXES = ("M", "F", "O", "")


class Sources:
    """Opens images by their path and keeps what it read while one document is built."""

    def __init__(self) -> None:
        self._headers: dict[Path, Dataset] = {}
        self._pictures: dict[Path, Picture] = {}
        self._frames: dict[tuple[Path, int], Frame] = {}
        self._stacks: dict[tuple[Path, ...], tuple[list[Slice], Grid]] = {}

    def header(self, path: Path) -> Dataset:
        """Return the data set of an image without its pixels, ready to be referred to.

        Raises
        ------
        NotUnderstood
            It lacks what a reference needs.
        """
        if path not in self._headers:
            self._headers[path] = _header(path)
        return self._headers[path]

    def picture(self, path: Path) -> Picture:
        """Describe an image; raises as ``imaging.picture.describe``."""
        if path not in self._pictures:
            self._pictures[path] = describe(path)
        return self._pictures[path]

    def frame(self, path: Path, frame: int) -> Frame:
        """Decode one zero-based frame; raises as ``imaging.pixels.read_frame``."""
        if (path, frame) not in self._frames:
            self._frames[path, frame] = read_frame(self.picture(path), frame)
        return self._frames[path, frame]

    def seen(self, path: Path, frame: int, mask: str | None) -> Frame:
        """Decode one zero-based frame as it was seen; raises as ``imaging.pixels.read_frame``."""
        picture = self.picture(path)
        if not can_be_subtracted(picture):
            return self.frame(path, frame)
        return read_seen(picture, frame, Wish(mask or AS_SAID), lambda one: self.frame(path, one))

    def stack(self, paths: tuple[Path, ...]) -> tuple[list[Slice], Grid]:
        """Order the slices of a series; raises as ``imaging.volume.stack_of``.

        Images that cannot be described are left out, as the viewer leaves them out of its volume.
        """
        if paths not in self._stacks:
            pictures = []
            for path in paths:
                with suppress(NotUnderstood, NotDisplayable, FileNotFoundError):
                    pictures.append(self.picture(path))
            self._stacks[paths] = stack_of(pictures)
        return self._stacks[paths]


def frame_numbers(header: Dataset, frames: list[int]) -> list[int] | None:
    """Return zero-based frames as DICOM counts them; None for an image that has but one."""
    count = int(header.get("NumberOfFrames") or 1)
    return [frame + 1 for frame in sorted(set(frames))] if count > 1 else None


def _header(path: Path) -> Dataset:
    header = dcmread(path, stop_before_pixels=True)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not header.get(keyword):
            raise NotUnderstood("An image lacks the identifiers that a reference needs.")
    for keyword in _REPEATED:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = "O"
    for keyword, kind in _MOMENTS.items():
        try:
            kind(header[keyword].value)
        except ValueError:  # no date or time; nothing better is known
            setattr(header, keyword, "")
    return header
