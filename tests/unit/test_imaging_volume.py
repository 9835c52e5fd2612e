import random
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite as write

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import volume as volume_module
from clinic_panel.imaging.geometry import Plane, orientation_letters, slice_order
from clinic_panel.imaging.header import read_header
from clinic_panel.imaging.phantom import (
    CT_SLICES,
    INSERTS,
    SOFT_TISSUE_HU,
    Identity,
    ct_phantom,
    truth,
    ultrasound,
)
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.volume import load_volume, open_volume


def part10(ds: Dataset) -> bytes:
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return list(ct_phantom(rows=128, slices=CT_SLICES))


@pytest.fixture(scope="module")
def stack(slices) -> list[bytes]:
    return [part10(ds) for ds in slices]


def test_the_phantoms_inserts_measure_as_documented(stack):
    shuffled = stack.copy()
    random.Random(1).shuffle(shuffled)

    volume = load_volume(shuffled)

    assert volume.unit == "HU"
    assert volume.spacing == (1.5, 3.0, 3.0)
    assert volume.array.shape == (128, 128, 128)
    assert volume.array.dtype == np.float32
    z, y, x = np.indices(volume.array.shape)
    for insert in INSERTS:
        cx, cy, cz = volume.index(insert.center_mm)
        distance = np.sqrt(((x - cx) * 3.0) ** 2 + ((y - cy) * 3.0) ** 2 + ((z - cz) * 1.5) ** 2)
        inside = volume.array[distance < insert.radius_mm - 4]
        assert inside.mean() == pytest.approx(max(insert.hu, -1000), abs=2.5), insert.name
        assert inside.std() < 12


def test_a_phantom_without_noise_is_the_truth_itself(slices):
    exact = list(ct_phantom(rows=64, slices=3, noise_hu=0))
    volume = load_volume([part10(ds) for ds in exact])
    z, y, x = np.indices(volume.array.shape)
    homogeneous = np.stack([x, y, z, np.ones_like(x)], axis=-1) @ volume.affine.T
    np.testing.assert_array_equal(volume.array, truth(homogeneous[..., :3]))


def test_projections_run_on_dask_in_blocks_and_are_numpys(stack, monkeypatch):
    monkeypatch.setattr(volume_module, "_BLOCK_BYTES", 5 * 128 * 128 * 4)
    lazy, whole = open_volume(stack), load_volume(stack)

    assert lazy.array.chunks == ((5,) * 25 + (3,), (128,), (128,))
    assert (lazy.spacing, lazy.unit) == (whole.spacing, whole.unit)
    np.testing.assert_array_equal(lazy.array[40].compute(), whole.array[40])
    for axis in range(3):
        np.testing.assert_array_equal(lazy.project("max", axis), whole.array.max(axis))
        np.testing.assert_array_equal(lazy.project("min", axis), whole.array.min(axis))
    np.testing.assert_allclose(lazy.project("mean", 0), whole.array.mean(0), atol=0.01)


def test_a_damaged_slice_says_so_through_dask(stack):
    cut = part10(next(ct_phantom(rows=128, slices=1)))
    lazy = open_volume([stack[0], stack[1][: -len(cut) // 8]])
    with pytest.raises(NotDisplayable, match=r"fewer pixels|cut short"):
        lazy.project()


def test_voxels_and_patient_coordinates_are_inverse(stack):
    volume = load_volume(stack[:4])
    place = volume.world(3, 5, 2)
    assert volume.index(place) == pytest.approx((3, 5, 2))
    assert volume.world(0, 0, 0) == pytest.approx((-190.5, -190.5, -95.25))


def test_the_body_is_of_one_series_with_the_identity_asked_for():
    identity = Identity(
        patient_name="Ωmega^Χρύσα",
        patient_id="P1",
        accession_number="A1",
        study_instance_uid="1.2.840.99",
        patient_birth_date="19700101",
    )
    [first, second] = [read_header(part10(ds)) for ds in ct_phantom(identity, slices=2, rows=64)]

    assert first.PatientName == "Ωmega^Χρύσα"
    assert (first.PatientID, first.AccessionNumber) == ("P1", "A1")
    assert first.StudyInstanceUID == second.StudyInstanceUID == "1.2.840.99"
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_the_largest_part_of_the_body_is_soft_tissue(stack):
    values = read_frame(stack[64]).values
    assert np.median(values[40:90, 30:50]) == pytest.approx(SOFT_TISSUE_HU, abs=45)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda stack: stack[:10] + stack[11:20], "gaps"),
        (lambda stack: [*stack[:5], stack[4]], "same position"),
        (lambda stack: stack[:1], "at least two"),
        (lambda stack: [], "at least two"),
        (lambda stack: [*stack[:3], part10(next(ct_phantom(rows=64)))], "different size"),
        (lambda stack: [*stack[:3], part10(ultrasound(rows=128, columns=128))], "position"),
    ],
)
def test_what_is_no_volume_is_refused_with_the_reason(stack, spoil, message):
    with pytest.raises(NotDisplayable, match=message):
        load_volume(spoil(stack))


def test_a_tilted_or_turned_stack_is_refused(slices):
    turned = [Dataset(ds) for ds in slices[:4]]
    for ds, original in zip(turned, slices, strict=False):
        ds.file_meta = original.file_meta
    turned[2].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    with pytest.raises(NotDisplayable, match="orientation"):
        load_volume([part10(ds) for ds in turned])
    turned[2].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    for number, ds in enumerate(turned):
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y + number, z]
    with pytest.raises(NotDisplayable, match="tilted"):
        load_volume([part10(ds) for ds in turned])


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        ([1, 0, 0, 0, 1, 0], ("R", "L", "A", "P")),  # axial
        ([1, 0, 0, 0, 0, -1], ("R", "L", "H", "F")),  # coronal
        ([0, 1, 0, 0, 0, -1], ("A", "P", "H", "F")),  # sagittal
        ([0.8, 0.6, 0, -0.6, 0.8, 0], ("RA", "LP", "AL", "PR")),  # turned in the plane
    ],
)
def test_edges_carry_the_letters_of_the_patients_sides(orientation, letters):
    assert orientation_letters(orientation) == letters


def test_slices_go_along_their_normal_whatever_their_numbers():
    def plane(z: float) -> Plane:
        return Plane((0, 0, z), (1, 0, 0, 0, 1, 0))

    assert slice_order([plane(5), plane(-3), plane(1)]) == [1, 2, 0]
    assert slice_order([]) == []


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_ultrasound_moves_and_keeps_its_calibration(colour, compressed):
    ds = ultrasound(frames=4, rows=120, columns=160, colour=colour, compressed=compressed)
    out = BytesIO()
    write(out, ds, enforce_file_format=True)
    picture = describe(out.getvalue())

    first, third = read_frame(picture, 0), read_frame(picture, 2)

    assert picture.frames == 4
    assert first.info.format == ("rgb8" if colour else "uint8")
    assert first.info.frame_time_ms == 50
    assert first.info.spacing == pytest.approx((160 / 120, 160 / 120), abs=1e-5)
    assert first.info.spacing_source == "Ultrasound region calibration"
    assert np.abs(first.stored.astype(int) - third.stored).mean() > 3
    assert first.stored[0, 0].max() < 12  # dark outside the fan
