from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmwrite
from pydicom.data import get_testdata_file

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import thumbnail
from clinic_panel.imaging.phantom import ct_phantom, ultrasound
from clinic_panel.imaging.pixels import read_frame


def part10(ds) -> bytes:
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.fixture(scope="module")
def ct() -> bytes:
    return part10(next(ct_phantom(noise_hu=0, slices=1)))


def test_a_thumbnail_is_windowed_grey_and_no_larger_than_asked(ct):
    picture = opened(thumbnail.png(ct, edge_px=128))

    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (128, 128))
    grey = np.asarray(picture)
    assert grey[0, 0] == 0  # air
    assert grey[64, 28] == pytest.approx(255 * (40 - 49.5) / 399 + 127.5, abs=2)  # soft tissue
    assert grey[88, 64] == 255  # the spine


def test_small_images_are_not_enlarged():
    small = Path(get_testdata_file("MR_small.dcm"))
    assert opened(thumbnail.png(small)).size == (64, 64)


def test_oblong_pixels_are_shown_in_their_true_shape(ct):
    ds = next(ct_phantom(rows=64, slices=1))
    ds.PixelSpacing = [2, 1]
    assert opened(thumbnail.png(part10(ds), edge_px=100)).size == (50, 100)


def test_of_many_frames_the_middle_one_stands_for_all():
    clip = part10(ultrasound(frames=6, rows=120, columns=160))
    assert thumbnail.png(clip) == thumbnail.png(clip, frame=3)
    assert thumbnail.png(clip) != thumbnail.png(clip, frame=0)
    picture = opened(thumbnail.jpeg(clip, edge_px=80))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (80, 60))


def test_inverted_images_show_white_as_black():
    frame = read_frame(part10(next(ct_phantom(rows=64, slices=1))))
    plain = np.asarray(thumbnail.render(frame))
    turned = np.asarray(thumbnail.render(frame, inverted=True))
    np.testing.assert_array_equal(turned, 255 - plain)
    bone = np.asarray(thumbnail.render(frame, window_center=500, window_width=2000))
    assert bone.mean() != plain.mean()


def test_an_object_without_pixels_has_no_thumbnail():
    with pytest.raises(NotDisplayable):
        thumbnail.png(Path(get_testdata_file("test-SR.dcm")))
    with pytest.raises(NotDisplayable):
        thumbnail.png(Path(get_testdata_file("MR_small.dcm")), edge_px=0)
