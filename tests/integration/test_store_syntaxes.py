"""Every storage class and transfer syntax: kept byte for byte, under correct meta information."""

import contextlib
import csv
import os
import subprocess
import warnings
import zlib
from io import BytesIO
from itertools import batched
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPIPHTJ2KReferencedDeflate,
    generate_uid,
)
from pynetdicom.sop_class import SecondaryCaptureImageStorage
from sqlalchemy import select

from clinic_panel.archive import data_set_offset
from clinic_panel.errors import NotUnderstood
from clinic_panel.models.imaging import Instance
from listener.commands import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from listener.contexts import storage_classes, transfer_syntaxes
from listener.server import Node
from tests import factories
from tests.conftest import free_port
from tests.integration.peer import STATION, associated, store_as, wait_for

pytestmark = pytest.mark.parametrize("database", ["sqlite"])

DEFLATED = {
    "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
    DeflatedExplicitVRLittleEndian,
    JPIPHTJ2KReferencedDeflate,
}
AT_ONCE = 100  # contexts of an association; 128 at most (PS3.8 9.3.2.2)
FILES = [
    "CT_small.dcm",
    "liver_expb_1frame.dcm",
    "rtplan.dcm",
    "image_dfl.dcm",
    "examples_jpeg2k.dcm",
    "693_J2KI.dcm",
    "examples_ybr_color.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_2frame.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
]


@pytest.fixture
def start(ctx):
    factories.room(ctx, station_ae_title=STATION)
    started = []

    def begin(*, accelerated=True):
        node = Node(ctx, accelerated=accelerated)
        node.start()
        started.append(node)
        return node

    yield begin
    for node in started:
        node.stop()


def image(sop_class, syntax):
    """A small object of any class, and its data set as bytes in any syntax."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "2.25.1", "2.25.2"
    data_set.PatientName, data_set.PatientID, data_set.Modality = "Doe^Jane", "P1", "OT"
    data_set.Rows = data_set.Columns = 4
    plain = UID(syntax) in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    )
    data_set.add_new("PixelData", "OB", bytes(range(16)))
    if not plain:  # no decoder is asked: fragments of any content, an odd number of them
        data_set.PixelData = encapsulate([b"\xff\xd8 first", b"second", b"third \xff\xd9"])
        data_set["PixelData"].is_undefined_length = True
    out = BytesIO()
    data_set.save_as(
        out,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    encoded = out.getvalue()
    if syntax in DEFLATED:
        engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = engine.compress(encoded) + engine.flush()
    return data_set.SOPInstanceUID, encoded


def kept(ctx):
    """What the archive holds by SOP Instance UID: row, meta information, data set as bytes."""
    found = {}
    with ctx.read() as session:
        for row in session.scalars(select(Instance)):
            found[row.sop_instance_uid] = row, *read(ctx.store.path(row.path))
    return found


def read(path):
    part10 = path.read_bytes()
    start = data_set_offset(memoryview(part10))
    return read_file_meta_info(path), part10[start:]


def is_ours(meta, sop_class, uid, syntax):
    """Whether the meta information is that of PS3.10 Table 7.1-1 for an object we received."""
    return (
        meta.FileMetaInformationVersion == b"\0\1"
        and meta.MediaStorageSOPClassUID == sop_class
        and meta.MediaStorageSOPInstanceUID == uid
        and meta.TransferSyntaxUID == syntax
        and meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        and meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
        and meta.SourceApplicationEntityTitle == STATION
    )


def stored(node, objects):
    """Send objects, given as (class, syntax, UID, bytes); return what was answered by UID."""
    answers = {}
    for some in batched(objects, AT_ONCE):
        contexts = dict.fromkeys((sop_class, syntax) for sop_class, syntax, *_ in some)
        with associated(node, *((cls, [syntax]) for cls, syntax in contexts)) as association:
            assert association.rejected_contexts == []
            for sop_class, syntax, uid, data in some:
                answers[uid] = store_as(association, data, sop_class, uid, syntax)
    return answers


def test_every_storage_class_is_kept(start, ctx):
    syntax = ExplicitVRLittleEndian
    sent = [(sop_class, syntax, *image(sop_class, syntax)) for sop_class in storage_classes()]

    answers = stored(start(), sent)

    assert len(sent) > 180
    assert set(answers.values()) == {0x0000}
    found = kept(ctx)
    for sop_class, _, uid, data in sent:
        row, meta, data_set = found[uid]
        assert (row.sop_class_uid, data_set) == (sop_class, data)
        assert is_ours(meta, sop_class, uid, syntax)


@pytest.mark.parametrize("accelerated", [True, False], ids=["event-driven", "library"])
def test_every_transfer_syntax_is_kept_byte_for_byte(start, ctx, accelerated):
    sop_class = SecondaryCaptureImageStorage
    sent = [(sop_class, syntax, *image(sop_class, syntax)) for syntax in transfer_syntaxes()]

    answers = stored(start(accelerated=accelerated), sent)

    assert len(sent) > 40
    assert set(answers.values()) == {0x0000}
    found = kept(ctx)
    for _, syntax, uid, data in sent:
        row, meta, data_set = found[uid]
        assert (row.transfer_syntax_uid, data_set) == (syntax, data)
        assert is_ours(meta, sop_class, uid, syntax)


def renamed(name, folder):
    """A copy of one of pydicom's objects under a UID of its own."""
    data_set = dcmread(get_testdata_file(name))
    meta = data_set.file_meta
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    path = folder / f"{data_set.SOPInstanceUID}.dcm"
    data_set.save_as(path)
    return path


@contextlib.contextmanager
def dcmtk_receiver(folder):
    """DCMTK's own receiver, which writes what it gets bit for bit: the one to compare with."""
    port = free_port()
    command = ["storescp", "-B", "+xa", "-od", str(folder), "-aet", "CLINIC", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            echo = ["echoscu", "-aec", "CLINIC", "127.0.0.1", str(port)]
            wait_for(lambda: subprocess.run(echo, capture_output=True).returncode == 0)
            yield port
        finally:
            process.kill()


def test_what_dcmtk_sends_is_kept_as_dcmtk_itself_keeps_it(start, ctx, tmp_path):
    node = start()
    files = [renamed(name, tmp_path) for name in FILES]
    again = [renamed("CT_small.dcm", tmp_path) for _ in range(4)]
    (tmp_path / "dcmtk").mkdir()
    commands = [["dcmsend", "-dn", "-aet", STATION, "-aec", "CLINIC"]]
    commands += [
        ["storescu", syntax, "-R", "-aet", STATION, "-aec", "CLINIC"]
        for syntax in ("-xi", "-xe", "-xb", "-xd")
    ]
    batches = [files, *([path] for path in again)]

    with dcmtk_receiver(tmp_path / "dcmtk") as port:
        for command, batch in zip(commands, batches, strict=True):
            for there in (port, node.port):
                sent = subprocess.run(
                    [*command, "127.0.0.1", str(there), *map(str, batch)],
                    capture_output=True,
                    text=True,
                    env=os.environ | {"TCP_NODELAY": "1"},
                )
                assert sent.returncode == 0, sent.stderr

    found = kept(ctx)
    theirs = [read(path) for path in (tmp_path / "dcmtk").iterdir()]
    assert len(theirs) == len(found) == len(FILES) + 4
    for their_meta, their_data_set in theirs:
        uid = their_meta.MediaStorageSOPInstanceUID
        row, meta, data_set = found[uid]
        syntax = their_meta.TransferSyntaxUID
        if syntax == DeflatedExplicitVRLittleEndian:  # it drops the pad byte (PS3.5 A.5)
            data_set, their_data_set = data_set.rstrip(b"\0"), their_data_set.rstrip(b"\0")
        assert data_set == their_data_set, syntax
        assert is_ours(meta, their_meta.MediaStorageSOPClassUID, uid, syntax), syntax
        assert (row.sop_class_uid, row.transfer_syntax_uid) == (
            their_meta.MediaStorageSOPClassUID,
            syntax,
        )
    assert len({meta.TransferSyntaxUID for meta, _ in theirs}) >= 10


def corpus():
    """The objects of CLINIC_CORPUS with the statuses its manifest allows, each UID once."""
    folder = Path(os.environ["CLINIC_CORPUS"])
    manifest = folder / "manifest.csv"
    allowed = {}
    if manifest.exists():
        with manifest.open() as file:
            for line in csv.DictReader(file):
                path = folder / line["file"].removeprefix("public/")
                allowed[path] = line["dimse_status_ok"]
    classes, seen = set(storage_classes()), set()
    for path in sorted(allowed or folder.rglob("*.dcm")):
        try:
            meta, data = read(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                inside = dcmread(path, stop_before_pixels=True)
        except (NotUnderstood, InvalidDicomError):
            continue  # no file meta information: nothing a modality could negotiate
        uid, syntax = inside.get("SOPInstanceUID"), meta.get("TransferSyntaxUID")
        sop_class = inside.get("SOPClassUID")
        if uid and syntax and sop_class in classes and uid not in seen:
            seen.add(uid)
            is_uid = set(uid) <= set("0123456789.")
            yield sop_class, syntax, uid, data, allowed.get(path, "") if is_uid else "C000"


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.skipif("CLINIC_CORPUS" not in os.environ, reason="CLINIC_CORPUS is not set")
def test_real_objects_are_kept_byte_for_byte_or_refused_with_the_right_status(start, ctx):
    objects = list(corpus())

    answers = stored(start(), [tuple(one[:4]) for one in objects])

    found, wrong = kept(ctx), []
    for _, syntax, uid, data, allowed in objects:
        if answers[uid] == 0x0000:
            row, _, data_set = found[uid]
            if data_set != data or row.transfer_syntax_uid != syntax:
                wrong.append((syntax, "altered"))
        elif uid in found:
            wrong.append((syntax, "kept though refused"))
        if allowed and allowed != "-" and f"{answers[uid]:04X}" not in allowed.split("|"):
            wrong.append((uid, syntax, f"{answers[uid]:04X}", allowed))
    assert wrong == []
    assert len(found) > 0
