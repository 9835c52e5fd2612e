"""Pixels of real files of many makers against decoders that share no code with ours.

One file of every class (transfer syntax, colour model, bits, sign, frames) is drawn and compared
with DCMTK's picture of it, and read and compared with pydicom's values; ``golden_frames.json``
holds digests of what GDCM 3.2.6 decoded of the last frame of compressed files. Where two decoders
differ, the test says why.
"""

import hashlib
import json
import math
import os
import subprocess
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import pixel_array

from clinic_panel.errors import ClinicError
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame

GOLDEN = json.loads(Path(__file__).with_name("golden_frames.json").read_text(encoding="ascii"))
NO_DCMTK_CODEC = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20", "1.2.840.10008.1.2.8.1")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
LOSSY_JPEG = tuple(f"1.2.840.10008.1.2.4.{process}" for process in (50, 51, 53, 55))
BIG_ENDIAN = "1.2.840.10008.1.2.2"
# Signed by their header, unsigned by their stream: GDCM gives the bits as they stand there.
WITHOUT_SIGN = {"J2K_pixelrep_mismatch.dcm": 0x1FFF}


def files() -> Iterator[Path]:
    """Pydicom's own files, and those of CLINIC_CORPUS where it is set."""
    folders = [Path(pydicom.data.__file__).parent / "test_files"]
    if "CLINIC_CORPUS" in os.environ:
        folders.append(Path(os.environ["CLINIC_CORPUS"]))
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def class_of(picture: Picture) -> tuple[object, ...]:
    return (
        *(picture.transfer_syntax_uid, picture.photometric, picture.bits_allocated),
        *(picture.bits_stored, picture.high_bit, picture.signed, picture.samples),
        *(picture.frames > 1, picture.planar, picture.inverted, bool(picture.overlays)),
        *(picture.modality_lut is not None, picture.frame_traits(0).voi_function),
    )


@pytest.fixture(scope="module")
def pictures() -> dict[Path, Picture]:
    """One picture of every class, and every one that GDCM's digest is known of."""
    found: dict[Path, Picture] = {}
    names, classes = set(), set()
    for path in files():
        try:
            picture = describe(path)
        except ClinicError:
            continue
        if class_of(picture) not in classes or digest(path.read_bytes()) in GOLDEN:
            classes.add(class_of(picture))
            if path.name not in names:  # the corpus holds pydicom's files too
                found[path] = picture
            names.add(path.name)
    assert len(found) > 40
    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def shown(pictures: dict[Path, Picture]) -> Iterator[tuple[Path, Picture, Frame]]:
    """The last frame of each."""
    for path, picture in pictures.items():
        try:
            yield path, picture, read_frame(picture, picture.frames - 1)
        except ClinicError:
            continue


def test_what_cannot_be_shown_is_known_and_says_why(pictures):
    problems = {}
    for path, picture in pictures.items():
        try:
            read_frame(picture)
        except ClinicError as error:
            problems[path.name] = error.message
    known = {
        "MR_truncated.dcm": "The image is cut short.",
        "JPEG2000-embedded-sequence-delimiter.dcm": (
            "The compressed image has another size than its header says."
        ),
    }
    assert problems == {name: why for name, why in known.items() if name in problems}


def test_values_are_those_of_pydicom(pictures):
    compared = 0
    for path, picture, frame in shown(pictures):
        mono = picture.samples == 1 and not picture.palette and picture.modality_lut is None
        wide = frame.info.format == "rgb8" and picture.bits_allocated > 8
        if not mono and (picture.samples == 1 or wide):
            continue  # through tables or from 16 bits a colour to 8: compared as drawn, below
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = pixel_array(dcmread(path, force=True), index=picture.frames - 1)
        except (RuntimeError, AttributeError, NotImplementedError, ValueError):
            continue  # ours alone: old JPEG, single bits in RLE, deflated frames, a cut file
        stored = frame.stored
        if mono and picture.pixel_tag == 0x7FE00010:
            base = (frame.info.intercept - picture.frame_traits(picture.frames - 1).intercept) / (
                frame.info.slope
            )
            stored = stored.astype(np.int64) + round(base)  # what was taken off wide values
        np.testing.assert_array_equal(stored, expected.astype(stored.dtype), err_msg=path.name)
        compared += 1
    assert compared > 25


def test_compressed_frames_are_those_of_gdcm(pictures):
    compared = 0
    for path, _, frame in shown(pictures):
        expected = GOLDEN.get(digest(path.read_bytes()))
        if expected is not None:
            stored = frame.stored.astype("<i4") & WITHOUT_SIGN.get(path.name, -1)
            assert digest(stored.tobytes()) == expected, path.name
            compared += 1
    assert compared > 10


def test_a_number_of_frames_that_is_none_leaves_the_first_as_it_is():
    """Of 15 frames whose number is written "1A": pydicom refuses it, DCMTK draws nothing."""
    path = Path(pydicom.data.get_testdata_file("badVR.dcm"))
    frame = read_frame(describe(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = np.frombuffer(dcmread(path).PixelData, "<u4").reshape(15, 10, 10)
    np.testing.assert_array_equal(frame.stored, held[0])


@pytest.mark.parametrize(
    ("packed", "native"),
    [
        *(("rtdose_rle.dcm", "rtdose.dcm"), ("rtdose_rle_1frame.dcm", "rtdose_1frame.dcm")),
        *(("liver_rle.dcm", "liver.dcm"), ("liver_deflate.dcm", "liver.dcm")),
    ],
)
def test_what_no_other_decodes_is_what_was_packed(packed, native):
    """Of 32 bits in run lengths and single bits: the same object as it was."""
    found = {path.name: path for path in files() if path.name in (packed, native)}
    if len(found) < 2:
        pytest.skip("only in the corpus")
    theirs = describe(found[native])
    for number in {0, theirs.frames // 2, theirs.frames - 1}:
        one, other = read_frame(found[packed], number), read_frame(theirs, number)
        assert (one.info.format, one.data) == (other.info.format, other.data)


def dcmtk_picture(path: Path, picture: Picture, frame: Frame, number: int) -> np.ndarray | None:
    """DCMTK's drawing of a frame with the window of ours; None when it has no codec for it."""
    info = frame.info
    program = "dcml2pnm" if picture.transfer_syntax_uid in JPEG_LS else "dcmj2pnm"
    command = [program, "-q", "-O", "-S", "+F", str(number + 1), "+op"]
    if info.voi_function == "TABLE":
        command += ["+Wl", "1"]
    elif info.format != "rgb8":
        command += ["+Ww", str(info.window_center), str(info.window_width)]
        command += ["+Wfs" if info.voi_function == "SIGMOID" else "+Wfl"]
    found = subprocess.run([*command, str(path)], capture_output=True, check=False)
    return np.array(Image.open(BytesIO(found.stdout))).astype(int) if found.stdout else None


def tolerance(picture: Picture, frame: Frame) -> int:
    """How many of 256 levels the two may differ, and why."""
    if frame.info.voi_function == "TABLE":
        return 2  # our curve has 256 levels, DCMTK's as many as the table has bits
    if picture.photometric.startswith("YBR"):
        return 3  # DCMTK converts in whole numbers, and spreads halved colours smoothly
    if picture.transfer_syntax_uid in LOSSY_JPEG and picture.samples == 1:
        # The last bit of a lossy transform, which a narrow window spreads, and rounding.
        return 1 + math.ceil(255 * abs(frame.info.slope) / frame.info.window_width)
    return 1  # DCMTK cuts off where we round


def test_pictures_are_those_of_dcmtk(pictures):
    def compare(case: tuple[Path, Picture, Frame]) -> str | None:
        path, picture, frame = case
        name, uid, number = path.name, picture.transfer_syntax_uid, picture.frames - 1
        if uid.startswith(NO_DCMTK_CODEC):
            return None
        if uid == BIG_ENDIAN and picture.bits_allocated == 32:
            return (
                None  # DCMTK 3.6 swaps the 16-bit halves of 32-bit pixels; pydicom agrees with us
            )
        # Padding is black with us and a value like any other to DCMTK.
        plain = replace(frame, info=replace(frame.info, padding=None))
        theirs = dcmtk_picture(path, picture, plain, number)
        if theirs is None:
            return None
        ours = thumbnail.draw(plain).astype(int)
        assert ours.shape == theirs.shape, name
        worst = np.abs(ours - theirs)
        if worst.max() > tolerance(picture, frame):
            return f"{name}: {worst.max()} levels, {(worst > 1).mean():.2%} of its pixels"
        return name if theirs.any() else None

    with ThreadPoolExecutor(2) as threads:
        found = [one for one in threads.map(compare, shown(pictures)) if one is not None]
    differing = [one for one in found if "levels" in one]
    assert not differing, "\n".join(differing)
    assert len(found) > 20
