"""Requests and titles that a library would abort over, or pass in silence: the peer is told."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import (
    C_CANCEL,
    C_ECHO,
    C_GET,
    C_MOVE,
    N_ACTION,
    N_CREATE,
    N_DELETE,
    N_EVENT_REPORT,
    N_GET,
    N_SET,
)
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from clinic_panel.models.flight import AssociationRecord, Ending
from listener.server import Node
from tests import factories
from tests.integration.peer import STATION, RawPeer, associated, wait_for

pytestmark = pytest.mark.parametrize("database", ["sqlite"])

STEP, RETRIEVE = ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve
COMMITMENT = StorageCommitmentPushModel
MOVE = StudyRootQueryRetrieveInformationModelMove
GET = StudyRootQueryRetrieveInformationModelGet
NAMED = {"AffectedSOPInstanceUID": "1.2.9"}
ASKED = {"RequestedSOPInstanceUID": "1.2.9"}


@pytest.fixture(params=[True, False], ids=["event-driven", "library"])
def node(request, ctx):
    factories.room(ctx, station_ae_title=STATION)
    node = Node(ctx, accelerated=request.param)
    node.start()
    yield node
    node.stop()


def data(**values):
    data_set = Dataset()
    data_set.update(values)
    return BytesIO(encode(data_set, True, True))


def message(kind, **values):
    request = kind()
    for name, value in ({"MessageID": 7} | values).items():
        setattr(request, name, value)
    return request


def answered(association, context, request):
    """Send what the library would never let out; return the answer."""
    [number] = [
        one.context_id for one in association.accepted_contexts if one.abstract_syntax == context
    ]
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, number)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    return answer


def misfits():
    status = data(PerformedProcedureStepStatus="COMPLETED")
    study = {"Priority": 2, "Identifier": data(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")}
    step, commitment = {"RequestedSOPClassUID": STEP}, {"RequestedSOPClassUID": COMMITMENT}
    return [
        (STEP, message(N_CREATE, AffectedSOPClassUID=CTImageStorage, **NAMED), 0x0118),
        (STEP, message(N_SET, **ASKED, RequestedSOPClassUID=MOVE, ModificationList=status), 0x0118),
        (STEP, message(N_SET, **step, ModificationList=status), 0x0212),
        (STEP, message(N_SET, **step, **ASKED), 0x0112),
        (STEP, message(N_GET, **step, **ASKED), 0x0211),
        (STEP, message(N_DELETE, **step, **ASKED), 0x0211),
        (RETRIEVE, message(N_CREATE, AffectedSOPClassUID=RETRIEVE, **NAMED), 0x0211),
        (RETRIEVE, message(N_GET, **step, **ASKED), 0x0112),  # of the class that made it
        (COMMITMENT, message(N_ACTION, **commitment, **ASKED), 0x0212),
        (
            COMMITMENT,
            message(N_ACTION, RequestedSOPClassUID=STEP, ActionTypeID=1, **ASKED),
            0x0118,
        ),
        (COMMITMENT, message(N_EVENT_REPORT, AffectedSOPClassUID=COMMITMENT, **NAMED), 0x0212),
        (Verification, message(C_ECHO, AffectedSOPClassUID=CTImageStorage), 0x0122),
        (Verification, message(C_ECHO), 0x0212),
        (MOVE, message(C_GET, AffectedSOPClassUID=MOVE, **study), 0x0122),
        (GET, message(C_MOVE, AffectedSOPClassUID=GET, MoveDestination="PACS", **study), 0x0122),
        (MOVE, message(C_MOVE, AffectedSOPClassUID=MOVE, **study), 0xA801),
    ]


def test_what_does_not_fit_its_context_is_answered(node, ctx):
    contexts = [(uid, [ImplicitVRLittleEndian]) for uid in {one for one, *_ in misfits()}]
    with associated(node, *contexts) as association:
        for context, request, status in misfits():
            answer = answered(association, context, request)
            assert (type(answer), answer.Status) == (type(request), status), request
            assert answer.MessageIDBeingRespondedTo == 7
        assert association.send_c_echo().Status == 0x0000
    node.recorder.flush()
    with ctx.read() as session:
        [flown] = session.query(AssociationRecord)
        assert sum(flown.requests.values()) == len(misfits()) + 1
        assert flown.failures == len(misfits())


def test_many_cancels_of_nothing_are_passed_over(node):
    with associated(node, (Verification, [ImplicitVRLittleEndian])) as association:
        for number in range(15):
            association.dimse.send_msg(message(C_CANCEL, MessageIDBeingRespondedTo=number), 1)
        assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"called": b"CLINIC".ljust(16, b"\0"), "calling": b"CT_ONE".ljust(16, b"\0")}, None),
        ({"called": b"  CLINIC", "calling": b"CT_ONE\0garbage"}, None),
        ({"calling": "CT_\u00dc".encode("latin-1")}, (1, 1, 3)),
        ({"calling": b""}, (1, 1, 3)),
        ({"called": b""}, (1, 1, 7)),
        ({"application_context": b"1.2.840.10008.3.1.1.2"}, (1, 1, 2)),
        ({"version": 2}, (1, 2, 2)),
    ],
)
def test_a_request_for_an_association_is_answered_whatever_stands_in_it(node, ctx, asked, answer):
    with RawPeer(node) as peer:
        kind, body = peer.ask(**asked)
        assert (kind == 2) if answer is None else (kind, tuple(body[1:4])) == (3, answer)
    if answer is not None and "version" not in asked:  # the library's own refusal
        wait_for(lambda: not node.recorder._open)
        node.recorder.flush()
        with ctx.read() as session:
            [flown] = session.query(AssociationRecord)
            assert flown.ending is Ending.REFUSED
            assert flown.reason
