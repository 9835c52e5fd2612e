"""What modalities say of performed steps, read from bytes that may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from clinic_panel.models.performed import PerformedStatus
from clinic_panel.services.performed_attributes import Reason, StepRefused
from clinic_panel.services.performed_reading import read_create, read_update
from tests.integration.steps import begun, ended, item, series

REQUEST = item(StudyInstanceUID="1.2.3", ScheduledProcedureStepID="S1", AccessionNumber="A1")
CREATE = encode(
    begun(ScheduledStepAttributesSequence=[REQUEST], PatientName="Müller^Ève=山田^太郎"),
    False,
    True,
)
SET = encode(ended(series(["1.2.3.4"], ["1.2.3.5"])), False, True)
READ = {CREATE: read_create, SET: read_update}


def test_names_are_read_in_their_character_set_and_requests_by_their_item():
    said = read_create(CREATE, ExplicitVRLittleEndian)
    assert said.values["patient_name"] == "Müller^Ève=山田^太郎"
    [request] = said.requests
    assert (request.study_instance_uid, request.scheduled_procedure_step_id) == ("1.2.3", "S1")
    assert said.series == ()


def test_an_object_named_twice_counts_once():
    once = series(["1.2.3.4"], ["1.2.3.5"], SeriesInstanceUID="1.2")
    again = series(["1.2.3.4", "1.2.3.6"], SeriesInstanceUID="1.2")
    said = read_update(encode(ended(once, again), True, True), ImplicitVRLittleEndian)
    assert said.status is PerformedStatus.COMPLETED
    [made] = said.series
    assert [one.sop_instance_uid for one in made.objects] == ["1.2.3.4", "1.2.3.5", "1.2.3.6"]


@pytest.mark.parametrize(
    ("made", "keyword"),
    [
        ([series([f"1.{n}" for n in range(20_001)])], "PerformedSeriesSequence"),
        ([series(SeriesInstanceUID=f"1.{n}") for n in range(2_001)], "PerformedSeriesSequence"),
    ],
)
def test_more_than_is_kept_is_refused(made, keyword):
    with pytest.raises(StepRefused) as refused:
        read_update(encode(ended(*made), True, True), ImplicitVRLittleEndian)
    assert (refused.value.reason, refused.value.keyword) == (Reason.TOO_MUCH, keyword)


@given(
    data=st.sampled_from(list(READ)),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=8),
    length=st.integers(0, 3000),
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
)
def test_damaged_messages_are_read_or_refused_and_what_is_read_fits(data, cuts, length, syntax):
    damaged = bytearray(data)
    for at, value in cuts:
        damaged[at : at + len(value)] = value
    try:
        said = READ[data](bytes(damaged[:length]), syntax)
    except StepRefused:
        return
    texts = [value for value in said.values.values() if isinstance(value, str)]
    assert all("\0" not in text and len(text) <= 194 for text in texts)
    assert all(len(request.study_instance_uid) <= 64 for request in said.requests)
    assert all(len(request.accession_number) <= 16 for request in said.requests)
