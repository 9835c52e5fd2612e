"""What a C-STORE is answered when it cannot be kept: status, comment and nothing left behind."""

import zlib
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification
from sqlalchemy import func, select

from clinic_panel.archive import data_set_offset
from clinic_panel.config import Settings
from clinic_panel.models.imaging import Instance
from listener.limits import Limits
from listener.server import Node
from tests import factories
from tests.integration.peer import (
    ABORT,
    STATION,
    RawPeer,
    associated,
    command,
    comment_in,
    pdu,
    pdv,
    status_in,
    store_as,
    wait_for,
)

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"]),
    pytest.mark.filterwarnings("ignore:Invalid value for VR UI"),
]

DATA, LAST, COMMAND = 0, 2, 3
PRIVATE_CLASS, PRIVATE_SYNTAX = "1.3.12.2.1107.5.9.1", "1.2.840.113619.5.2"


@pytest.fixture(params=[True, False], ids=["event-driven", "library"])
def node(request, ctx):
    factories.room(ctx, station_ae_title=STATION)
    values = {name: getattr(ctx.settings, name) for name in Settings.names()}
    private = {
        "private_storage_classes": PRIVATE_CLASS,
        "private_transfer_syntaxes": PRIVATE_SYNTAX,
    }
    here = replace(ctx, settings=Settings(**values | private))
    node = Node(here, limits=Limits(object_bytes=1 << 20), accelerated=request.param)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def data_set():
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        part10 = file.read()
    return part10[data_set_offset(memoryview(part10)) :]


def nested(depth):
    """The image with sequences within sequences, of undefined length, in front of its UIDs."""
    opening = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * depth
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    return opening + closing


def refused(node, data, *, data_pdus=1, syntax=ExplicitVRLittleEndian, **announced):
    """Send one object, then a good echo's worth of life; return status and comment."""
    with RawPeer(node) as peer:
        peer.associate(syntax)
        peer.send(pdu(4, pdv(COMMAND, command(**announced))))
        for _ in range(data_pdus - 1):
            peer.send(pdu(4, pdv(DATA, data)))
        if "data set" not in announced.get("without", ()):
            peer.send(pdu(4, pdv(LAST, data)))
        answer = peer.answer()
        return status_in(answer), comment_in(answer)


def nothing_is_left(ctx, node):
    with ctx.read() as session:
        assert session.scalar(select(func.count()).select_from(Instance)) == 0
    assert list(ctx.store.root.glob("?/?/*.dcm")) == []
    # An abort may be heard before the thread that sent it has tidied up.
    wait_for(lambda: not any((ctx.store.root / "incoming").iterdir()))
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        assert association.send_c_echo().Status == 0x0000


def test_every_refusal_has_its_status_and_says_why(node, ctx, data_set):
    bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = bomb.compress(nested(1) * 10 + bytes(8 << 20)) + bomb.flush()
    other_class = 0x0122, "The context was negotiated for another SOP class."
    refusals = [
        (refused(node, data_set, sop_class=MRImageStorage), other_class),
        (refused(node, data_set, sop_class="1.2.3.4.5.6"), other_class),
        (refused(node, data_set, sop_class=Verification), other_class),
        (
            refused(node, data_set, sop_instance="2.25.1"),
            (0xA900, "The data set is not the instance or class announced."),
        ),
        (
            refused(node, data_set, sop_instance="../../x"),
            (0xC000, "The SOP Instance UID is none."),
        ),
        (
            refused(node, b""),
            (0xC000, "The object lacks a valid instance, series or study identifier."),
        ),
        (refused(node, b"\0" * 300), (0xC000, "The object is cut short.")),
        (refused(node, data_set[:200]), (0xC000, "The object is cut short.")),
        (
            refused(node, nested(5_000)),
            (0xC000, "The object nests its sequences too deeply."),
        ),
        (
            refused(node, deflated, syntax=DeflatedExplicitVRLittleEndian),
            (0xC000, "The deflated object inflates beyond reason."),
        ),
        (
            refused(node, b"", without={"data set"}),
            (0x0212, "The request announces no data set."),
        ),
    ]
    assert [answer for answer, _ in refusals] == [expected for _, expected in refusals]
    nothing_is_left(ctx, node)


@pytest.mark.parametrize("missing", [0x0002, 0x1000])
def test_a_request_that_names_no_object_ends_the_association(node, ctx, data_set, missing):
    with RawPeer(node) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(COMMAND, command(without={missing}))) + pdu(4, pdv(LAST, data_set)))
        assert peer.answer()[0] in (0, ABORT)
    nothing_is_left(ctx, node)


def test_a_full_archive_is_told_before_the_disk_is_full(node, ctx, data_set):
    reserve, ctx.store.reserve_bytes = ctx.store.reserve_bytes, 1 << 60
    assert refused(node, data_set) == (0xA700, "The archive is full.")
    nothing_is_left(ctx, node)
    ctx.store.reserve_bytes = reserve
    assert refused(node, data_set) == (0x0000, "")


def test_private_classes_and_syntaxes_are_taken_when_the_settings_name_them(node, ctx, data_set):
    private = data_set.replace(
        b"UI\x1a\x00" + CTImageStorage.encode() + b"\0",
        b"UI\x1a\x00" + PRIVATE_CLASS.encode().ljust(26, b"\0"),
    )
    uid = dcmread(get_testdata_file("CT_small.dcm")).SOPInstanceUID
    with associated(node, (PRIVATE_CLASS, [PRIVATE_SYNTAX])) as association:
        assert store_as(association, private, PRIVATE_CLASS, uid) == 0x0000
    with ctx.read() as session:
        [kept] = session.scalars(select(Instance))
        assert (kept.sop_class_uid, kept.transfer_syntax_uid) == (PRIVATE_CLASS, PRIVATE_SYNTAX)
    stored = dcmread(ctx.store.path(kept.path), stop_before_pixels=True).file_meta
    assert stored.MediaStorageSOPClassUID == PRIVATE_CLASS
    assert stored.TransferSyntaxUID == PRIVATE_SYNTAX

    others = (PRIVATE_CLASS + "9", [ExplicitVRLittleEndian]), (CTImageStorage, ["1.2.3.4"])
    with associated(node, *others) as association:
        answers = {context.result for context in association.rejected_contexts}
    assert (len(association.rejected_contexts), answers) == (2, {3, 4})  # PS3.8 Table 9-18
