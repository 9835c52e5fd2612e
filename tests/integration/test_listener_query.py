"""Query/Retrieve C-FIND over real sockets, with DCMTK's findscu and pynetdicom as workstations."""

import subprocess
from datetime import date, time

import pytest
from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from clinic_panel.errors import Unavailable
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.flight import RequestRecord
from clinic_panel.models.imaging import Instance, Series
from clinic_panel.services import query as archive_query
from clinic_panel.services import scan, searches
from clinic_panel.validation import folded
from listener import audits
from listener.server import Node
from tests import factories
from tests.integration.peer import PATIENCE_S, STATION, associated, wait_for

PATIENT_ROOT = PatientRootQueryRetrieveInformationModelFind
STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
US = "1.2.840.10008.5.1.4.1.1.6.1"
on_sqlite = pytest.mark.parametrize("database", ["sqlite"])


@pytest.fixture
def node(ctx):
    factories.room(ctx, station_ae_title=STATION)
    node = Node(ctx)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def studies(ctx):
    """Four studies of three people; one of them was never matched to anyone."""
    made = {
        "old": factories.study(
            ctx,
            instances=2,
            patient_id="P-1",
            patient_name="Müller^Ève",
            search_name=folded("Müller^Ève"),
            patient_birth_date=date(1980, 5, 6),
            patient_sex="F",
            accession_number="A-1",
            study_id="7",
            study_date=date(2026, 3, 1),
            study_time=time(23, 30),
            referring_physician_name="House^Gregory",
        ),
        "new": factories.study(
            ctx,
            patient_id="P-1",
            patient_name="Müller^Ève",
            search_name=folded("Müller^Ève"),
            study_date=date(2026, 3, 2),
            study_time=time(8, 15, 30),
            study_description="US [abdomen]",
            modalities_in_study="SR\\US",
        ),
        "ando": factories.study(
            ctx,
            patient_id="P-2",
            patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
            search_name=folded("Yamada^Tarou=山田^太郎=やまだ^たろう"),
            study_date=date(2026, 3, 2),
            study_time=time(9, 0),
        ),
        "nobody": factories.study(
            ctx, patient_id="", patient_name="", study_date=None, study_description=""
        ),
    }
    with ctx.begin() as session:
        study = session.merge(made["new"])
        second = Series(
            study=study,
            series_instance_uid="1.2.3.4",
            modality="US",
            series_number=2,
            body_part_examined="ABDOMEN",
            number_of_instances=1,
        )
        second.instances = [
            Instance(
                sop_instance_uid="1.2.3.4.5",
                sop_class_uid=US,
                transfer_syntax_uid="1.2.840.10008.1.2.4.70",
                instance_number=12,
                sha256="0" * 64,
                path="x",
                size_bytes=1,
                received_at=ctx.clock(),
            )
        ]
        session.add(second)
    return {name: study.study_instance_uid for name, study in made.items()}


def keys(level, **given):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in given.items():
        setattr(identifier, keyword, value)
    return identifier


def ask(node, identifier, model=STUDY_ROOT, syntax=ImplicitVRLittleEndian, extended=b""):
    """All the pending answers, and all the statuses."""
    negotiation = SOPClassExtendedNegotiation()
    negotiation.sop_class_uid, negotiation.service_class_application_information = model, extended
    options = {"ext_neg": [negotiation]} if extended else {}
    with associated(node, (model, [syntax]), **options) as association:
        answers = list(association.send_c_find(identifier, model))
    return [data for _, data in answers if data is not None], [status for status, _ in answers]


def found(node, identifier, **options):
    answers, statuses = ask(node, identifier, **options)
    assert [status.Status for status in statuses][-1] == 0x0000
    return answers


def test_a_study_comes_with_all_that_was_asked(node, ctx, studies):
    asked = keys("STUDY", PatientID="P-1", StudyDate="20260302")
    for keyword in (
        "StudyInstanceUID",
        "PatientName",
        "PatientBirthDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "SOPClassesInStudy",
        "InstanceAvailability",
        "OtherPatientIDs",
        "ProcedureCodeSequence",
    ):
        setattr(asked, keyword, [] if keyword.endswith("Sequence") else "")

    answers, statuses = ask(node, asked)
    node.recorder.flush()
    node.audits.flush()

    assert [status.Status for status in statuses] == [0xFF00, 0x0000]
    [answer] = answers
    assert answer.QueryRetrieveLevel == "STUDY"
    assert answer.RetrieveAETitle == "CLINIC"
    assert answer.StudyInstanceUID == studies["new"]
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert str(answer.PatientName) == "Müller^Ève"
    assert (answer.StudyDate, answer.StudyTime) == ("20260302", "081530")
    assert list(answer.ModalitiesInStudy) == ["SR", "US"]
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 1)
    assert sorted(answer.SOPClassesInStudy) == ["1.2.840.10008.5.1.4.1.1.2", US]
    assert answer.InstanceAvailability == "ONLINE"
    assert answer["OtherPatientIDs"].VM == answer["PatientBirthDate"].VM == 0
    assert len(answer.ProcedureCodeSequence) == 0
    with ctx.read() as session:
        [entry] = session.query(AuditEntry).filter_by(action=Action.SEARCH)
        [kept] = session.query(RequestRecord)
    assert entry.detail == {"list": "archive", "level": "STUDY", "found": 1, "ae_title": STATION}
    assert (kept.answers, kept.statuses) == (1, {"0000": 1})


MATCHES = [
    ({}, ["old", "new", "ando", "nobody"]),
    ({"PatientName": "*"}, ["old", "new", "ando", "nobody"]),
    ({"PatientName": "MULLER*"}, ["old", "new"]),
    ({"PatientName": "Muller"}, []),
    ({"PatientName": "*Eve"}, ["old", "new"]),
    ({"PatientName": "山田*"}, ["ando"]),
    ({"PatientName": "ヤマダ^タロウ"}, ["ando"]),
    ({"PatientID": "P-?"}, ["old", "new", "ando"]),
    ({"PatientID": "p-1"}, []),
    ({"PatientID": "?-2"}, ["ando"]),
    ({"PatientBirthDate": "19800506"}, ["old"]),
    ({"StudyDate": "20260302-"}, ["new", "ando"]),
    ({"StudyDate": "-20260301"}, ["old"]),
    ({"StudyDate": "20260301-20260302", "StudyTime": "0800-0830"}, ["new"]),
    ({"StudyTime": "09"}, ["ando"]),
    ({"AccessionNumber": "A-*"}, ["old"]),
    ({"StudyID": "7"}, ["old"]),
    ({"StudyDescription": "US [a*"}, ["new"]),
    ({"StudyDescription": "us*"}, []),
    ({"ReferringPhysicianName": "house^*"}, ["old"]),
    ({"ModalitiesInStudy": "US"}, ["new"]),
    ({"ModalitiesInStudy": ["US", "CT"]}, ["old", "new", "ando", "nobody"]),
    ({"SOPClassesInStudy": US}, ["new"]),
    ({"NumberOfStudyRelatedInstances": "02"}, ["old"]),
    ({"RetrieveAETitle": "ELSEWHERE"}, []),
]


def test_keys_match_at_study_level(node, studies):
    names = {uid: name for name, uid in studies.items()}
    with associated(node, (STUDY_ROOT, [ExplicitVRLittleEndian])) as association:
        for asked, expected in MATCHES:
            answers = association.send_c_find(keys("STUDY", **asked), STUDY_ROOT)
            got = [names[data.StudyInstanceUID] for _, data in answers if data is not None]
            assert sorted(got) == sorted(expected), asked


@on_sqlite
def test_every_level_of_both_models(node, studies):
    uid = studies["new"]

    patients = found(
        node,
        keys(
            "PATIENT",
            PatientID="P-*",
            PatientName="",
            PatientBirthDate="",
            NumberOfPatientRelatedStudies="",
            NumberOfPatientRelatedSeries="",
            NumberOfPatientRelatedInstances="",
        ),
        model=PATIENT_ROOT,
    )
    assert [answer.PatientID for answer in patients] == ["P-2", "P-1"]
    assert patients[1].NumberOfPatientRelatedStudies == 2
    assert patients[1].NumberOfPatientRelatedSeries == 3
    assert patients[1].NumberOfPatientRelatedInstances == 3

    of_patient = keys("STUDY", PatientID="P-1", StudyInstanceUID="")
    assert len(found(node, of_patient, model=PATIENT_ROOT)) == 2

    series = keys(
        "SERIES",
        StudyInstanceUID=uid,
        SeriesInstanceUID="",
        Modality="",
        SeriesNumber="",
        BodyPartExamined="",
        NumberOfSeriesRelatedInstances="",
    )
    [first, second] = found(node, series)
    assert (first.SeriesNumber, second.SeriesNumber) == (1, 2)
    assert (second.Modality, second.BodyPartExamined) == ("US", "ABDOMEN")
    assert second.NumberOfSeriesRelatedInstances == 1
    series.PatientID = "P-1"
    series["Modality"] = DataElement(0x00080060, "CS", "U?", validation_mode=IGNORE)
    [answer] = found(node, series, model=PATIENT_ROOT)
    assert answer.PatientID == "P-1"

    image = keys(
        "IMAGE",
        StudyInstanceUID=uid,
        SeriesInstanceUID="1.2.3.4",
        SOPInstanceUID="",
        InstanceNumber="12",
        SOPClassUID="",
        Rows=None,
        AvailableTransferSyntaxUID="",
    )
    [answer] = found(node, image)
    assert (answer.SOPInstanceUID, answer.SOPClassUID) == ("1.2.3.4.5", US)
    assert answer.AvailableTransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    image.SOPInstanceUID = ["1.2.3.4.5", "1.2.3.4.6"]
    assert len(found(node, image)) == 1


@on_sqlite
def test_an_identifier_that_does_not_fit_its_model_is_refused(node):
    for identifier, model, element in (
        (keys("", PatientID="P-1"), STUDY_ROOT, 0x00080052),
        (keys("PATIENT"), STUDY_ROOT, 0x00080052),
        (keys("SERIES"), STUDY_ROOT, 0x0020000D),
        (keys("STUDY", PatientID="P*"), PATIENT_ROOT, 0x00100020),
        (keys("SERIES", StudyInstanceUID=["1.2", "1.3"]), STUDY_ROOT, 0x0020000D),
        (keys("IMAGE", StudyInstanceUID="1.2"), STUDY_ROOT, 0x0020000E),
        (keys("STUDY", StudyInstanceUID="1.2"), PATIENT_ROOT, 0x00100020),
    ):
        answers, [status] = ask(node, identifier, model=model)
        assert (answers, status.Status) == ([], 0xA900)
        assert status.OffendingElement == element
        assert status.ErrorComment


@on_sqlite
def test_relational_queries_and_moments_are_negotiated(node, studies):
    anywhere = keys("IMAGE", SOPInstanceUID="1.2.3.4.5")
    [answer] = found(node, anywhere, extended=b"\1\0\1")
    assert (answer.StudyInstanceUID, answer.SeriesInstanceUID) == (studies["new"], "1.2.3.4")

    night = keys("STUDY", StudyDate="20260301-20260302", StudyTime="2300-0830")
    assert found(node, night) == []  # one by one: no time is after 23:00 and before 8:30
    both = found(node, night, extended=b"\0\1")
    assert sorted(one.StudyInstanceUID for one in both) == sorted([studies["old"], studies["new"]])


@on_sqlite
def test_a_key_we_do_not_match_is_told(node, studies):
    _, statuses = ask(node, keys("STUDY", PatientID="P-1", InstitutionName="Elsewhere"))
    assert [status.Status for status in statuses] == [0xFF01, 0xFF01, 0x0000]
    code = Dataset()
    code.CodeValue = "1"
    _, statuses = ask(node, keys("STUDY", PatientID="P-2", ProcedureCodeSequence=[code]))
    assert [status.Status for status in statuses] == [0xFF01, 0x0000]


@on_sqlite
def test_more_than_the_limit_is_no_success(node, studies, monkeypatch):
    monkeypatch.setattr(archive_query, "LIMIT", 2)
    answers, statuses = ask(node, keys("STUDY"))
    assert len(answers) == 2
    assert statuses[-1].Status == 0xA700
    assert statuses[-1].ErrorComment == "more than 2 match: narrow the query"


@pytest.mark.parametrize("database", ["postgresql"])
def test_more_than_one_piece_comes_whole_and_in_order(node, studies, monkeypatch):
    in_one = [answer.StudyInstanceUID for answer in found(node, keys("STUDY"))]
    monkeypatch.setattr(scan, "AT_ONCE", 2)
    in_pieces = [answer.StudyInstanceUID for answer in found(node, keys("STUDY"))]
    assert in_one == in_pieces == list(reversed(studies.values()))


@on_sqlite
def test_a_query_of_another_class_than_its_context_is_refused(node, ctx, studies):
    with associated(node, (STUDY_ROOT, [ImplicitVRLittleEndian])) as association:
        association.accepted_contexts[
            0
        ].abstract_syntax = PATIENT_ROOT  # as we, not the node, see it
        refused = list(association.send_c_find(keys("STUDY", PatientID="P-1"), PATIENT_ROOT))
        association.accepted_contexts[0].abstract_syntax = STUDY_ROOT
        after = list(association.send_c_find(keys("STUDY", PatientID="P-2"), STUDY_ROOT))
    node.recorder.flush()

    assert [status.Status for status, _ in refused] == [0x0122]
    assert [status.Status for status, _ in after] == [0xFF00, 0x0000]
    with ctx.read() as session:
        kept = session.query(RequestRecord).order_by(RequestRecord.id).all()
    assert [(one.answers, one.statuses) for one in kept] == [(0, {"0122": 1}), (1, {"0000": 1})]


@on_sqlite
@pytest.mark.parametrize("accelerated", [True, False])
def test_what_is_wrong_with_an_identifier_is_told_and_kept(ctx, accelerated):
    factories.room(ctx, station_ae_title=STATION)
    node = Node(ctx, accelerated=accelerated)
    node.start()
    try:
        answers, [status] = ask(node, keys("GALAXY"))
        node.recorder.flush()
    finally:
        node.stop()

    assert answers == []
    assert (status.Status, status.OffendingElement) == (0xA900, 0x00080052)
    with ctx.read() as session:
        [kept] = session.query(RequestRecord)
    assert (kept.statuses, kept.comment) == ({"A900": 1}, status.ErrorComment)


@on_sqlite
def test_searches_in_a_row_are_audited_together(node, ctx, studies, monkeypatch):
    written, record = [], searches.record

    def counted(ctx, batch):
        written.append(len(batch))
        record(ctx, batch)

    monkeypatch.setattr(searches, "record", counted)
    monkeypatch.setattr(audits, "_GATHER_S", 60.0)  # until it is told to hurry
    with associated(node, (STUDY_ROOT, [ImplicitVRLittleEndian])) as association:
        for patient_id in ("P-1", "P-2", "P-3"):
            list(association.send_c_find(keys("STUDY", PatientID=patient_id), STUDY_ROOT))
    node.audits.flush()

    assert written == [3]
    with ctx.read() as session:
        entries = session.query(AuditEntry).filter_by(action=Action.SEARCH).order_by(AuditEntry.id)
        assert [entry.detail["found"] for entry in entries] == [2, 1, 0]


@on_sqlite
def test_no_answers_while_searches_cannot_be_audited(node, ctx, studies, monkeypatch):
    def away(*_):
        raise Unavailable

    monkeypatch.setattr(audits, "_RETRY_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(searches, "record", away)
        found(node, keys("STUDY"))
        wait_for(lambda: ask(node, keys("STUDY"))[1][-1].Status == 0xA700)
    wait_for(lambda: ask(node, keys("STUDY"))[1][-1].Status == 0x0000)
    node.audits.flush()
    with ctx.read() as session:
        entries = session.query(AuditEntry).filter_by(action=Action.SEARCH).all()
    assert len(entries) >= 2  # that of the first search too
    assert {entry.detail["found"] for entry in entries} == {4}


NAMES = {
    "ISO_IR 100": "Müller^Ève",
    "ISO_IR 101": "Wałęsa^Lech",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 148": "Çavuşoğlu",
    "ISO_IR 166": "นามสกุล^ชื่อ",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Wang^XiaoDong=王^小东",
    "ISO_IR 192": "Wang^XiaoDong=王^小東=홍^길동",
    "\\ISO 2022 IR 58": "Zhang^XiaoDong=张^小东",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 100\\ISO 2022 IR 144": "Müller^Пётр",
    "ISO_IR 203": "Œuvré^Ÿ",
}


@on_sqlite
@pytest.mark.parametrize("accelerated", [True, False])
def test_names_come_in_the_set_that_was_declared(ctx, accelerated):
    for number, name in enumerate(NAMES.values()):
        factories.study(ctx, patient_id=f"N{number}", patient_name=name, search_name=folded(name))
    factories.room(ctx, station_ae_title=STATION)
    node = Node(ctx, accelerated=accelerated)
    node.start()
    syntaxes = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
    try:
        for number, (declared, name) in enumerate(NAMES.items()):
            asked = keys("STUDY", PatientName=name, PatientID=f"N{number}")
            asked.SpecificCharacterSet = declared.split("\\")
            with associated(node, (STUDY_ROOT, [syntaxes[number % 3]])) as association:
                [(_, answer), _] = association.send_c_find(asked, STUDY_ROOT)
            assert answer.SpecificCharacterSet == asked.SpecificCharacterSet
            assert str(answer.PatientName) == name

            # What the declared set cannot say comes as UTF-8.
            asked.PatientID, asked.PatientName = "N7", ""
            if declared not in ("ISO_IR 192", "ISO_IR 166", "GB18030"):
                with associated(node, (STUDY_ROOT, [syntaxes[number % 3]])) as association:
                    [(_, answer), _] = association.send_c_find(asked, STUDY_ROOT)
                assert answer.SpecificCharacterSet == "ISO_IR 192"
                assert str(answer.PatientName) == NAMES["ISO_IR 166"]
    finally:
        node.stop()


@on_sqlite
def test_findscu_finds_a_study(node, studies, tmp_path):
    command = ["findscu", "-S", "-aet", STATION, "-aec", "CLINIC", "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", "PatientID=P-2", "-k", "StudyInstanceUID", "-k", "PatientName"]
    command += ["-X", "-od", tmp_path, "127.0.0.1", str(node.port)]
    subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)

    [path] = tmp_path.glob("rsp*.dcm")
    answer = dcmread(path)
    assert answer.StudyInstanceUID == studies["ando"]
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert "山田" in str(answer.PatientName)
