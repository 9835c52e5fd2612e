"""Copies of a study to carry away: as they are, or de-identified; on a medium or in a ZIP."""

from __future__ import annotations

import mmap
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, cast

from pydicom import Dataset, dcmread

from clinic_panel.documents.deidentify import UNREADABLE, deidentify
from clinic_panel.documents.media import Member, Tick, write_file_set, write_folder, zip_folder
from clinic_panel.documents.reservations import Reason, to_look_at, unfit
from clinic_panel.documents.terms import Terms
from clinic_panel.errors import Invalid, NotDisplayable, NotUnderstood
from clinic_panel.imaging.cleaning import MOST_BYTES, TOO_LARGE, black_out, clean_pixels
from clinic_panel.imaging.decoding import decode
from clinic_panel.imaging.elements import Buffer
from clinic_panel.imaging.opened import open_data_set
from clinic_panel.services.export import ExportOrder, Left, Made, Source

NOTHING_LEFT: Final = "Nothing could be handed out: every object was left out."
README: Final = "README.TXT"
ZIP: Final = "EXPORT.ZIP"
_PART: Final = ".unfinished"


class LeftOut(Exception):
    """An object is not handed out."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def cleaned(source: Source, terms: Terms, *, looked: bool) -> Dataset:
    """Return one object without the person.

    Parameters
    ----------
    looked
        Whether a person made sure that no identity is drawn into the images.

    Raises
    ------
    LeftOut
        It is of a kind that cannot be cleaned, or that somebody has to look at first.
    """
    try:
        return _cleaned(source, terms, looked=looked)
    except NotDisplayable as error:
        reason = Reason.TOO_LARGE if error.message == TOO_LARGE else Reason.UNCHECKED
        raise LeftOut(reason) from None
    except (NotUnderstood, *UNREADABLE):
        raise LeftOut(Reason.DAMAGED) from None


def _cleaned(source: Source, terms: Terms, *, looked: bool) -> Dataset:
    ds = _read(source.path)
    reason = unfit(ds)
    if reason is None and not looked and not source.areas:
        reason = to_look_at(ds)
    if reason is not None:
        raise LeftOut(reason)
    if source.areas and "PixelData" in ds:
        black_out(ds, source.path, source.areas, decode)
    clean_pixels(ds, str(ds.file_meta.TransferSyntaxUID))
    return deidentify(ds, terms, pixels_clean=looked or bool(source.areas))


def _read(path: Path) -> Dataset:
    """Read an object that a worker can hold, whatever it claims to be."""
    if path.stat().st_size > MOST_BYTES:
        raise NotDisplayable(TOO_LARGE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        syntax = open_data_set(cast("Buffer", view), keep_bytes=0).transfer_syntax_uid
    ds = dcmread(path, force=True)
    if not ds.file_meta.get("TransferSyntaxUID"):
        ds.file_meta.TransferSyntaxUID = syntax
    return ds


def export(order: ExportOrder, folder: Path, *, tick: Tick = lambda: None) -> Made:
    """Put the objects of an order into a folder.

    Parameters
    ----------
    tick
        Called when an object is ready, and again when it is in its place.

    Raises
    ------
    NotUnderstood
        Nothing is left to hand out.
    """
    drafts = folder.with_name(f"{folder.name}.objects")
    shutil.rmtree(drafts, ignore_errors=True)  # of a worker that was killed
    drafts.mkdir(mode=0o700, parents=True)
    try:
        members, left = _prepared(order, drafts, tick)
        return _arranged(order, members, left, folder, tick)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def _prepared(
    order: ExportOrder, drafts: Path, tick: Tick
) -> tuple[list[tuple[Source, Member]], Counter[tuple[str, Reason]]]:
    """Clean what has to be; say of each object where it lies, or why it stays here."""
    members, left = [], Counter[tuple[str, Reason]]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their text quotes values
        for number, source in enumerate(order.sources):
            try:
                members.append((source, _member(source, drafts / str(number), looked=order.looked)))
            except LeftOut as one:
                left[source.series, one.reason] += 1
            except UNREADABLE:
                left[source.series, Reason.DAMAGED] += 1
            tick()
    return members, left


def _member(source: Source, draft: Path, *, looked: bool) -> Member:
    if source.terms is None:
        return Member(source.path)
    cleaned(source, source.terms, looked=looked).save_as(draft, enforce_file_format=True)
    return Member(draft, move=True)


def _arranged(
    order: ExportOrder,
    members: Sequence[tuple[Source, Member]],
    left: Counter[tuple[str, Reason]],
    folder: Path,
    tick: Tick,
) -> Made:
    if not members:
        reasons = sorted({reason.value for _, reason in left})
        raise NotUnderstood(" ".join([NOTHING_LEFT, *reasons]))
    if order.with_directory:
        write_file_set([member for _, member in members], folder, tick=tick)
    else:
        groups = groupby(members, key=lambda pair: pair[0].series)
        write_folder(([member for _, member in group] for _, group in groups), folder, tick=tick)
    return Made(
        objects=len(members),
        left=tuple(
            Left(series, count, reason.value) for (series, reason), count in sorted(left.items())
        ),
    )


def pack(order: ExportOrder, draft: Path, *, tick: Tick = lambda: None) -> Made:
    """Make the ZIP of an order.

    Raises
    ------
    NotUnderstood
        Nothing is left to hand out.
    """
    folder = draft.with_name(f"{draft.name}.folder")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        made = export(order, folder, tick=tick)
        if order.case:
            (folder / README).write_text("\r\n".join([*_words(order, made), ""]), "utf-8")
        zip_folder(folder, draft)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made


def check_empty(target: Path) -> None:
    """Raise `Invalid` where something lies already: it would end up on the medium."""
    if target.exists() and any(target.iterdir()):
        raise Invalid(f"{target} is not empty.")


def write(
    order: ExportOrder, target: Path, *, packed: bool = False, tick: Tick = lambda: None
) -> Made:
    """Put an order into a folder of the person's, as it is or as one ZIP; all of it or nothing.

    Raises
    ------
    NotUnderstood
        Nothing is left to hand out.
    """
    part = target / _PART  # on the medium itself, where names can be changed at no cost
    is_new = not target.exists()
    part.mkdir(parents=True, exist_ok=True)
    try:
        if packed:
            made = pack(order, part / ZIP, tick=tick)
            (part / ZIP).rename(target / ZIP)
        else:
            made = export(order, part / "files", tick=tick)
            for path in (part / "files").iterdir():
                path.rename(target / path.name)
    except BaseException:
        shutil.rmtree(target if is_new else part, ignore_errors=True)
        raise
    shutil.rmtree(part, ignore_errors=True)
    return made


def _words(order: ExportOrder, made: Made) -> Iterator[str]:
    """Say what is in the ZIP, to whoever opens it elsewhere."""
    yield f"{order.case}: {made.objects} DICOM objects, de-identified."
    yield ""
    yield "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile,"
    yield "with dates and times moved by an unknown amount. Text was removed, not rewritten."
    yield "Faces that a scan of a head would show in three dimensions are not removed."
    if made.left:
        yield ""
        yield "Left out:"
    for one in made.left:
        yield f"  {one.count} x {one.reason}"
