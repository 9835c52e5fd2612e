"""The C-STORE command set as bytes, against pynetdicom and pydicom as the other reader."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import P_DATA_TF

from clinic_panel.archive import data_set_offset
from listener.commands import file_head, store_request

CT = "1.2.840.10008.5.1.4.1.1.2"


def command(**values):
    request = C_STORE()
    request.MessageID, request.Priority = 513, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, "1.2.3"
    request.DataSet = BytesIO(b"data")
    for name, value in values.items():
        setattr(request, name, value)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    [part, *_] = message.encode_msg(5, 0)
    return part.presentation_data_value_list[0][1][1:]


def test_a_request_of_pynetdicom_is_read():
    request = store_request(5, command())

    assert (request.context_id, request.message_id) == (5, 513)
    assert (request.sop_class_uid, request.sop_instance_uid) == (CT, "1.2.3")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"short",
        command()[:-1],
        command() + b"\0",
        b"\x08" + command()[1:],
        command()[:20],
        command().replace(b"\0\0\0\x01\2\0\0\0\1\0", b"\0\0\0\x01\2\0\0\0\x30\0"),
        command().replace(b"\0\0\0\x08\2\0\0\0\1\0", b"\0\0\0\x08\2\0\0\0\1\1"),
        b"\0\0\0\0\xff\xff\xff\xff" + command(),
    ],
)
def test_what_is_no_whole_store_request_is_left_to_the_library(broken):
    assert store_request(5, broken) is None


def test_pynetdicom_reads_the_response():
    answer = P_DATA_TF()
    answer.decode(store_request(5, command()).response(0xA700))

    message = C_STORE_RSP()
    assert message.decode_msg(answer.to_primitive())
    response = message.message_to_primitive()
    assert response.is_valid_response
    assert (response.Status, response.MessageIDBeingRespondedTo) == (0xA700, 513)
    assert (response.AffectedSOPClassUID, response.AffectedSOPInstanceUID) == (CT, "1.2.3")
    group_length = decode(BytesIO(message.encoded_command_set.getvalue()), True, True)
    assert group_length.CommandGroupLength == len(message.encoded_command_set.getvalue()) - 12


@pytest.mark.parametrize("source", ["A", "STATION", "SIXTEEN_LETTERS_"])
def test_pydicom_reads_the_head_of_a_file(source):
    head = file_head(CT, "1.2.34", ExplicitVRLittleEndian, source)

    meta = dcmread(BytesIO(head)).file_meta
    assert data_set_offset(memoryview(head)) == len(head)
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == "1.2.34"
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.SourceApplicationEntityTitle == source
    assert meta.FileMetaInformationVersion == b"\0\1"
