"""Other systems told of studies that are here, by a pynetdicom provider over a real socket."""

from __future__ import annotations

import threading

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)
from sqlalchemy import select

from clinic_panel.errors import GivenUp, Invalid, PeerUnavailable
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import Job, JobKind
from clinic_panel.models.peer import AvailabilityNotice
from clinic_panel.models.performed import (
    PerformedProcedureStep,
    PerformedStatus,
    PerformedStepRequest,
)
from clinic_panel.models.user import Role
from clinic_panel.services import availability, dicom, jobs, peers
from clinic_panel.services.peers import PeerForm
from clinic_panel.tasks.notify import notify
from tests import factories
from tests.conftest import free_port

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class System:
    """A system that wants to know what is here; it says what it is told to."""

    def __init__(self, port, sop_class=InstanceAvailabilityNotification):
        self.port, self.status, self.told = port, 0x0000, []
        self.meanwhile = lambda: None  # what happens here before it answers
        entity = AE("RIS")
        entity.add_supported_context(sop_class)
        heard = [(evt.EVT_N_CREATE, self._hear)]
        self.server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=heard)

    def _hear(self, event):
        self.told.append((event.request.AffectedSOPInstanceUID, event.attribute_list))
        self.meanwhile()
        return self.status, None


@pytest.fixture
def begin():
    begun = []

    def start(*args):
        begun.append(System(*args))
        return begun[-1]

    yield start
    for system in begun:
        system.server.shutdown()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def row(as_role, port):
    form = PeerForm("Reading room", "RIS", "127.0.0.1", port, notifies=True)
    return peers.add(as_role(Role.ADMIN), form)


def settled(ctx, clock, study):
    """Let a study come to rest, as the worker does."""
    clock.advance(seconds=2)
    dicom.settle_study(ctx, study.id)
    clock.advance(seconds=60)


def tell(ctx, row):
    notify(ctx, row.id, threading.Event())


def due_at(ctx):
    return jobs.next_due(ctx, [JobKind.NOTIFY])


def test_a_system_is_told_of_a_study_with_all_that_is_in_it(ctx, clock, begin, port, row):
    system, study = begin(port), factories.study(ctx, instances=2)
    step = PerformedProcedureStep(
        sop_instance_uid=generate_uid(),
        performed_procedure_step_status=PerformedStatus.COMPLETED,
        begun_at=ctx.clock(),
        changed_at=ctx.clock(),
        requests=[PerformedStepRequest(study_instance_uid=study.study_instance_uid)],
    )
    with ctx.begin() as session:
        session.add(step)
    settled(ctx, clock, study)
    tell(ctx, row)

    [(uid, said)] = system.told
    assert uid
    assert uid != study.study_instance_uid
    assert said.StudyInstanceUID == study.study_instance_uid
    [performed] = said.ReferencedPerformedProcedureStepSequence
    assert performed.ReferencedSOPInstanceUID == step.sop_instance_uid
    assert performed.ReferencedSOPClassUID == ModalityPerformedProcedureStep
    assert len(performed.PerformedWorkitemCodeSequence) == 0
    [series] = said.ReferencedSeriesSequence
    with ctx.read() as session:
        kept = session.scalars(select(Instance).order_by(Instance.instance_number)).all()
        assert series.SeriesInstanceUID == kept[0].series.series_instance_uid
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.NOTIFY))
        assert (entry.subject_id, entry.detail) == (study.id, {"peer": row.id, "instances": 2})
    assert [
        (o.ReferencedSOPClassUID, o.ReferencedSOPInstanceUID, o.InstanceAvailability)
        for o in series.ReferencedSOPSequence
    ] == [(one.sop_class_uid, one.sop_instance_uid, "ONLINE") for one in kept]
    assert {o.RetrieveAETitle for o in series.ReferencedSOPSequence} == {"CLINIC"}
    assert "PatientID" not in said

    settled(ctx, clock, study)  # nothing came
    tell(ctx, row)
    assert len(system.told) == 1
    with ctx.begin() as session:
        session.get_one(Study, study.id).number_of_instances = 3
    settled(ctx, clock, study)
    tell(ctx, row)
    assert len(system.told) == 2


@only_sqlite
def test_a_study_that_still_comes_is_not_told_of(ctx, clock, begin, port, row):
    system, early, late = begin(port), factories.study(ctx), factories.study(ctx)
    settled(ctx, clock, early)
    with ctx.begin() as session:
        session.get_one(Study, late.id).last_received_at = ctx.clock()
    clock.advance(seconds=2)
    dicom.settle_study(ctx, late.id)
    tell(ctx, row)

    assert [said.StudyInstanceUID for _, said in system.told] == [early.study_instance_uid]
    assert due_at(ctx) == ctx.clock() + availability.AT_REST - (ctx.clock() - late_at(ctx, late))
    clock.advance(seconds=30)
    tell(ctx, row)
    assert [said.StudyInstanceUID for _, said in system.told[1:]] == [late.study_instance_uid]


def late_at(ctx, study):
    with ctx.read() as session:
        return session.get_one(Study, study.id).last_received_at


@pytest.mark.parametrize("status", [0x0000, 0x0110])
def test_what_comes_while_a_system_is_being_told_is_told_next(ctx, clock, begin, port, row, status):
    system, study = begin(port), factories.study(ctx, instances=2)
    settled(ctx, clock, study)
    system.status, system.meanwhile = status, lambda: grow(ctx, clock, study)
    if status:
        with pytest.raises(GivenUp):
            tell(ctx, row)
    else:
        tell(ctx, row)
    with ctx.read() as session:
        [notice] = session.scalars(select(AvailabilityNotice))
        assert (notice.last_status, notice.sent_at, notice.attempts) == (status, None, 0)
    system.status, system.meanwhile = 0x0000, lambda: None
    clock.advance(seconds=60)
    tell(ctx, row)

    assert [
        len(said.ReferencedSeriesSequence[0].ReferencedSOPSequence) for _, said in system.told
    ] == [2, 3]
    assert availability.next_notice(ctx, row.id) is None


def grow(ctx, clock, study):
    """Let one more object come, and the study settle with it."""
    with ctx.begin() as session:
        series = session.scalars(select(Series).where(Series.study_pk == study.id)).one()
        session.add(factories.instance(ctx, series, 3, digest="f" * 64))
        growing = session.get_one(Study, study.id)
        growing.number_of_instances += 1
        growing.last_received_at = ctx.clock()
    clock.advance(seconds=2)
    assert dicom.settle_study(ctx, study.id)


@only_sqlite
def test_a_system_that_is_away_or_full_hears_all_when_it_is_back(ctx, clock, begin, port, row):
    studies = [factories.study(ctx) for _ in range(2)]
    for study in studies:
        settled(ctx, clock, study)
    with pytest.raises(PeerUnavailable):
        tell(ctx, row)
    system = begin(port)
    system.status = 0x0213
    with pytest.raises(PeerUnavailable, match="no notifications now"):
        tell(ctx, row)
    system.status, system.told = 0x0107, []
    tell(ctx, row)

    assert [said.StudyInstanceUID for _, said in system.told] == [
        study.study_instance_uid for study in studies
    ]
    assert availability.next_notice(ctx, row.id) is None


@only_sqlite
def test_what_is_refused_is_shown_and_tried_a_few_times(ctx, clock, begin, port, row):
    system, study = begin(port), factories.study(ctx)
    settled(ctx, clock, study)
    system.status = 0x0110
    for _ in range(availability.MOST_ATTEMPTS):
        with pytest.raises(GivenUp, match="refuses a notification: 0x0110"):
            tell(ctx, row)
    tell(ctx, row)

    assert len(system.told) == availability.MOST_ATTEMPTS
    with ctx.read() as session:
        [notice] = session.scalars(select(AvailabilityNotice))
        assert (notice.last_status, notice.sent_at) == (0x0110, None)


@only_sqlite
def test_only_systems_that_want_and_can_are_told(ctx, clock, begin, port, row, as_role):
    admin = as_role(Role.ADMIN)
    peers.add(admin, PeerForm("Other", "OTHER", "127.0.0.1", port))
    begin(port, Verification)
    settled(ctx, clock, factories.study(ctx))
    with ctx.read() as session:
        [job] = session.scalars(select(Job).where(Job.kind == JobKind.NOTIFY))
        assert job.subject_id == row.id
    with pytest.raises(GivenUp, match="does not offer this service"):
        tell(ctx, row)
    off = PeerForm("Reading room", "RIS", "127.0.0.1", port, notifies=True, is_active=False)
    peers.change(admin, row.id, row.version, off)
    tell(ctx, row)
    with pytest.raises(Invalid, match="needs an address"):
        peers.add(admin, PeerForm("Third", "THIRD", notifies=True))
