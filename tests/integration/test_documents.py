"""What stands beside the pixels: who may read it, what the audit says, files that are not there."""

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.errors import Forbidden, NotDisplayable, NotFound
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import documents
from tests.integration.archive import keep


@pytest.fixture
def ct(ctx) -> int:
    [instance_id] = keep(ctx, dcmread(get_testdata_file("CT_small.dcm")))
    return instance_id


def looks(ctx) -> list[dict]:
    query = select(AuditEntry).where(AuditEntry.action == Action.VIEW)
    with ctx.read() as session:
        return [
            {"by": one.username, "of": one.subject_type, "id": one.subject_id, **one.detail}
            for one in session.scalars(query)
        ]


def test_a_header_read_is_one_entry_of_the_audit_without_a_value(ctx, ct, as_role):
    doctor = as_role(Role.CLINICIAN)
    found = documents.header(doctor, ct)
    assert "CompressedSamples^CT1" in [row.value for row in found.rows]
    assert looks(ctx) == [{"by": "clinician", "of": "instance", "id": ct, "what": "header"}]


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.ANALYST, Role.ADMIN])
def test_a_header_names_the_patient_so_only_those_who_treat_read_it(ctx, ct, as_role, role):
    with pytest.raises(Forbidden):
        documents.header(as_role(role), ct)
    assert looks(ctx) == []


def test_a_header_that_cannot_be_read_says_why(ctx, ct, as_role):
    doctor = as_role(Role.CLINICIAN)
    with pytest.raises(NotFound):
        documents.header(doctor, 404)
    with ctx.read() as session:
        path = ctx.store.path(session.scalar(select(Instance.path)))
    path.chmod(0o600)
    path.write_bytes(b"no DICOM at all")
    with pytest.raises(NotDisplayable, match="not a DICOM object"):
        documents.header(doctor, ct)
    path.unlink()
    with pytest.raises(NotDisplayable, match="missing from the archive"):
        documents.header(doctor, ct)
