"""Tables for analysts: complete, typed, audited, and nothing in them that names a person."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import select

import clinic_panel as cp
from clinic_panel.context import Context
from clinic_panel.errors import Forbidden, Invalid, NotFound
from clinic_panel.imaging import phantom
from clinic_panel.imaging.header import read_header
from clinic_panel.models.appointment import AppointmentStatus
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.report import Report, ReportVersion
from clinic_panel.models.user import Role
from clinic_panel.services import (
    analytics,
    cohort,
    cohort_frames,
    cohort_headers,
    cohort_view,
    export,
    pseudonym,
)
from clinic_panel.services.dicom import Received, index_batch
from tests import factories

SECRETS = {
    "patient_name": "Plantedname^Zoë=山田^太郎",
    "patient_id": "PLANTED-ID-7",
    "accession_number": "PLANTEDACC",
    "referring_physician_name": "Plantedreferrer^Ida",
    "study_description": "plantedstudytext",
    "study_id": "PLANTEDSID",
}
SERIES_TEXT = "plantedseriestext"
BIRTH = date(1931, 5, 17)


def keep(ctx: Context, *objects: Dataset) -> None:
    received = []
    for ds in objects:
        out = BytesIO()
        ds.save_as(out, enforce_file_format=True)
        part10 = out.getvalue()
        received.append(Received(read_header(part10), ctx.store.put(part10), "SIM"))
    index_batch(ctx, received)


def identity(**values: str) -> phantom.Identity:
    base = {
        "patient_name": SECRETS["patient_name"],
        "patient_id": SECRETS["patient_id"],
        "patient_birth_date": f"{BIRTH:%Y%m%d}",
        "patient_sex": "F",
        "accession_number": SECRETS["accession_number"],
        "study_description": SECRETS["study_description"],
        "referring_physician_name": SECRETS["referring_physician_name"],
        "study_id": SECRETS["study_id"],
    }
    return phantom.Identity(**base | values, taken_at=datetime(2026, 3, 16, 13, 5))  # noqa: DTZ001


@pytest.fixture
def planted(ctx: Context) -> list[str]:
    """One patient with planted values everywhere; returns what must not be seen again."""
    person = factories.patient(
        ctx,
        patient_id=SECRETS["patient_id"],
        patient_name=SECRETS["patient_name"],
        patient_birth_date=BIRTH,
        patient_address="Plantedstreet 1",
        patient_telephone_numbers="+49plantedphone",
        patient_comments="plantedcomment",
        allergies="plantedallergy",
    )
    visit = factories.appointment(
        ctx,
        patient=person,
        accession_number=SECRETS["accession_number"],
        referring_physician_name=SECRETS["referring_physician_name"],
        reason_for_the_requested_procedure="plantedreason",
        checked_in_at=ctx.clock(),
        status=AppointmentStatus.ARRIVED,
    )
    slices = list(
        phantom.ct_phantom(
            identity(study_instance_uid=visit.study_instance_uid), slices=4, rows=64, noise_hu=0
        )
    )
    for ds in slices:
        ds.SeriesDescription = SERIES_TEXT
        ds.PatientComments = "plantedcomment"
    keep(ctx, *slices)
    reader = factories.user(ctx, Role.CLINICIAN)
    with ctx.begin() as session:
        study = cohort.find_study(ctx, session, visit.study_instance_uid)
        report = Report(
            study=study,
            author_pk=reader.id,
            findings="plantedfinding",
            impression="plantedimpression",
            created_at=ctx.clock(),
            changed_at=ctx.clock(),
        )
        session.add(report)
        session.flush()
        session.add(
            ReportVersion(
                report=report,
                number=1,
                content={"impression": "plantedimpression"},
                sha256="0" * 64,
                signed_by_pk=reader.id,
                signed_by_name="Plantedsigner",
                signed_at=ctx.clock() + timedelta(minutes=42),
            )
        )
    uids = [visit.study_instance_uid]
    uids += [str(ds.SOPInstanceUID) for ds in slices]
    uids += [str(slices[0].SeriesInstanceUID), str(slices[0].FrameOfReferenceUID)]
    texts = [*SECRETS.values(), SERIES_TEXT, "planted", "1931", "山田", "Zoë", *uids]
    return [text.casefold() for text in texts]


def leaks(planted: list[str], text: str) -> list[str]:
    """The secrets in a text; a year only where it is no part of a longer number, as in a UID."""
    return [
        secret
        for secret in planted
        if re.search(
            rf"(?<!\d){re.escape(secret)}(?!\d)" if secret.isdecimal() else re.escape(secret), text
        )
    ]


@pytest.fixture
def analyst(ctx: Context, as_role) -> Context:
    return as_role(Role.ANALYST)


def every_frame(ctx: Context) -> Iterator[pd.DataFrame]:
    studies = cohort.studies(ctx)
    yield from (cohort.patients(ctx), cohort.appointments(ctx), studies, cohort.reports(ctx))
    for study_uid in studies["study_uid"]:
        series = cohort.series(ctx, study_uid)
        yield series
        yield cohort_headers.headers(
            ctx, study_uid, ["KVP", "PixelSpacing", "Modality", "FrameOfReferenceUID", "StudyDate"]
        )
        for series_uid in series["series_uid"]:
            yield cohort.instances(ctx, series_uid)
    days = analytics.Days(ctx.today(), ctx.today())
    yield analytics.studies_by_hour(ctx, days)
    yield analytics.turnaround(ctx, days)
    yield analytics.utilisation(ctx, days)


def test_no_frame_holds_a_planted_value(analyst, planted):
    frames = list(every_frame(analyst))

    assert all(len(frame) for frame in frames)
    for frame in frames:
        text = frame.to_csv().casefold() + "".join(map(str, frame.columns)).casefold()
        assert leaks(planted, text) == []


def test_the_check_above_would_see_a_leak(analyst, planted):
    row = {"study_uid": SECRETS["patient_name"]}
    leaking = cohort_frames.frame(analyst, [row], cohort_frames.STUDIES)

    assert leaks(planted, leaking.to_csv().casefold())


def test_nothing_planted_enters_the_audit(ctx, analyst, planted):
    with ctx.read() as session:
        before = len(session.scalars(select(AuditEntry.id)).all())
    frames = list(every_frame(analyst))

    with ctx.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()[before:]
    assert len(entries) == len(frames) - 3  # the three of analytics are counts, of nobody
    said = " ".join(json.dumps(entry.detail, ensure_ascii=False) for entry in entries).casefold()
    assert leaks(planted, said) == []
    assert {entry.role for entry in entries} == {"analyst"}
    assert any(entry.patient_pk is not None for entry in entries)


def test_empty_frames_have_the_same_columns_and_types_as_full_ones(ctx, analyst, planted):
    full = cohort.studies(analyst)
    none = cohort.studies(analyst, modality="PT")

    assert len(full) == 1
    assert len(none) == 0
    assert none.dtypes.to_dict() == full.dtypes.to_dict()
    for columns in (
        cohort_frames.PATIENTS,
        cohort_frames.APPOINTMENTS,
        cohort_frames.STUDIES,
        cohort_frames.REPORTS,
    ):
        empty = cohort_frames.frame(ctx, [], columns)
        assert list(empty.columns) == list(columns)
        assert [str(kind) for kind in empty.dtypes] == [
            {"moment": "datetime64[us, Europe/Berlin]"}.get(kind, kind) for kind in columns.values()
        ]


def test_moments_are_in_the_clinic_s_zone_and_ages_are_capped(ctx, analyst, planted):
    row = cohort.appointments(analyst).iloc[0]
    study = cohort.studies(analyst).iloc[0]

    assert str(row["start_at"]) == "2026-03-16 14:00:00+01:00"
    assert row["signed_at"] - row["checked_in_at"] == timedelta(minutes=42)
    assert study["age_years"] == cohort_frames.OLDEST_AGE
    assert study["study_date"] == pd.Timestamp("2026-03-16")
    assert (study["modality"], study["instances"], study["report_status"]) == ("CT", 4, "draft")


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("2026-03-16", "2026-03-16", 1),
        (date(2026, 3, 16), None, 1),
        ("2026-03-17", None, 0),
        (None, "2026-03-15", 0),
    ],
)
def test_days_are_taken_with_both_ends(analyst, planted, since, until, found):
    assert len(cohort.studies(analyst, since=since, until=until)) == found
    assert len(cohort.appointments(analyst, since=since, until=until)) == found


def test_nobody_was_examined_before_the_birth():
    born = date(1990, 5, 5)
    assert cohort_frames.age_years(born, date(1980, 1, 1)) is None
    assert cohort_frames.age_years(born, born) == 0


def test_a_day_that_is_none_is_refused(analyst):
    with pytest.raises(Invalid):
        cohort.studies(analyst, since="last week")


def test_real_and_pseudonymous_uids_find_the_same(ctx, analyst, planted):
    shown = cohort.studies(analyst)["study_uid"].iloc[0]
    with ctx.read() as session:
        real = cohort.find_study(ctx, session, shown).study_instance_uid

    assert shown.startswith("2.25.")
    assert len(shown) <= 64
    assert shown != real
    pd.testing.assert_frame_equal(cohort.series(analyst, shown), cohort.series(analyst, real))
    with pytest.raises(NotFound):
        cohort.series(analyst, "1.2.3.4.5")


@pytest.mark.parametrize("database", ["sqlite"])
def test_a_table_is_made_without_keeping_the_clinic_from_writing(
    ctx, analyst, planted, monkeypatch
):
    study_uid = cohort.studies(analyst)["study_uid"].iloc[0]
    series_uid = cohort.series(analyst, study_uid)["series_uid"].iloc[0]
    writes = 0
    makes, finds = pseudonym.key, pseudonym.original

    def write():
        nonlocal writes
        with contextlib.closing(
            sqlite.connect(ctx.settings.home / "clinic.db", timeout=0)
        ) as other:
            other.execute("BEGIN IMMEDIATE")  # fails at once while somebody else may write
        writes += 1

    def key(*arguments):
        write()
        return makes(*arguments)

    def original(*arguments):
        write()
        return finds(*arguments)

    monkeypatch.setattr(pseudonym, "key", key)
    monkeypatch.setattr(pseudonym, "original", original)
    for ask in (cohort.patients, cohort.appointments, cohort.studies, cohort.reports):
        before = writes
        ask(analyst)
        assert writes > before
    for ask, uid in (
        (cohort.series, study_uid),
        (cohort.instances, series_uid),
        (cohort.volume, series_uid),
        (cohort_view.open_study, study_uid),
        (lambda who, of: cohort_headers.headers(who, of, ["KVP"]), study_uid),
    ):
        before = writes
        ask(analyst, uid)
        assert writes > before


def test_keys_join_the_tables(analyst, planted):
    people, visits = cohort.patients(analyst), cohort.appointments(analyst)
    studies, reports = cohort.studies(analyst), cohort.reports(analyst)

    joined = studies.merge(visits, on="appointment_key").merge(
        people, left_on="patient_key_x", right_on="patient_key"
    )
    assert len(joined) == 1
    assert set(reports["study_uid"]) == set(studies["study_uid"])
    assert people["studies"].tolist() == people["appointments"].tolist() == [1]


def test_two_clinics_give_the_same_thing_different_names(ctx):
    other = ctx.settings.param.values() | {"secret_key": "another clinic's secret"}
    other.pop("name")
    elsewhere = Context(type(ctx.settings)(**other), ctx.sessions, ctx.store, ctx.actor, ctx.clock)

    assert pseudonym.uid(ctx, "1.2.3") == pseudonym.uid(ctx, "1.2.3")
    assert pseudonym.uid(ctx, "1.2.3") != pseudonym.uid(elsewhere, "1.2.3")
    assert pseudonym.key(ctx, "patient", 1) != pseudonym.key(ctx, "user", 1)


def test_headers_come_one_row_an_instance_in_order(analyst, planted):
    study_uid = cohort.studies(analyst)["study_uid"].iloc[0]
    found = cohort_headers.headers(analyst, study_uid, ["KVP", "Exposure", "PixelSpacing", "Rows"])

    assert found["instance_number"].tolist() == [1, 2, 3, 4]
    assert found["KVP"].tolist() == [120.0] * 4
    assert found["PixelSpacing"].iloc[0] == (6.0, 6.0)
    assert found["Rows"].unique().tolist() == [64]


def plainly(ctx: Context, analyst: Context, **elements: tuple[str, object]) -> dict[str, object]:
    """What is told of an instance whose elements are written with these VRs and values."""
    [ds] = phantom.ct_phantom(identity(), slices=1, rows=64, noise_hu=0)
    for keyword, (vr, value) in elements.items():
        ds[keyword] = DataElement(keyword, vr if vr == "SQ" else "LT", value)  # LT takes any text
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    part10 = out.getvalue()
    for keyword, (vr, _) in elements.items():
        tag = Tag(keyword)
        start = struct.pack("<HH", tag.group, tag.element)
        part10 = part10.replace(start + b"LT", start + vr.encode())
    index_batch(ctx, [Received(read_header(part10), ctx.store.put(part10), "SIM")])
    [row] = cohort_headers.headers(analyst, ds.StudyInstanceUID, list(elements)).to_dict("records")
    return {keyword: row[keyword] for keyword in elements}


def test_a_header_that_lies_about_its_vr_tells_no_words(ctx, analyst):
    person = Dataset()
    person.PatientName = SECRETS["patient_name"]
    found = plainly(
        ctx,
        analyst,
        Exposure=("LO", "Smith John born 1970"),
        KVP=("ST", "Smith John"),
        BodyPartExamined=("LO", "Smith, John"),
        StudyDate=("LO", "Smith John"),
        SeriesTime=("ST", "Smith"),
        Manufacturer=("SQ", Sequence([person])),
        FrameOfReferenceUID=("UI", "1.2.840.10008.Smith"),
        Rows=("LO", "64"),
    )
    assert found.pop("Rows") == 64  # whatever it is called, it is a number
    assert str(found.pop("FrameOfReferenceUID")).startswith("2.25.")
    assert set(found.values()) == {None}


def test_one_bad_header_spoils_no_other(ctx, analyst):
    found = plainly(
        ctx,
        analyst,
        Exposure=("IS", "2.5"),
        ExposureTime=("IS", "12.0"),
        XRayTubeCurrent=("IS", "abc"),
        KVP=("DS", "120"),
        PixelSpacing=("DS", "0.5\\abc"),
        ImageType=("CS", "DERIVED\\Smith\\AXIAL"),
    )
    assert found == {
        "Exposure": 2.5,
        "ExposureTime": 12,
        "XRayTubeCurrent": None,
        "KVP": 120.0,
        "PixelSpacing": (0.5, None),
        "ImageType": ("DERIVED", None, "AXIAL"),
    }


def test_no_words_of_a_device_come_with_its_pictures(ctx, analyst):
    slices = list(phantom.ct_phantom(identity(), slices=2, rows=64, noise_hu=0))
    for ds in slices:
        ds.RescaleType, ds.WindowCenterWidthExplanation = "Plantedname", ["Plantedname", "B"]
        ds["Modality"] = DataElement("Modality", "CS", "MR Smith", validation_mode=IGNORE)
    keep(ctx, *slices)
    study_uid = slices[0].StudyInstanceUID
    opened = cohort_view.open_study(analyst, study_uid)
    [series] = opened.view.series
    info = opened.frame(series.frames[0].instance_id, 0).info

    assert "Planted" not in repr((opened, info))
    assert (info.unit, cohort.volume(analyst, slices[0].SeriesInstanceUID).unit) == ("", "")
    hours = analytics.studies_by_hour(analyst, analytics.Days(analyst.today(), analyst.today()))
    assert hours["modality"].tolist() == ["?"]
    asked = export.order_of(analyst, [study_uid], export.Wanted(deidentified=True))
    assert not any("Smith" in source.series for source in asked.sources)


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientComments",
        "PregnancyStatus",
        "StudyDescription",
        "SeriesDescription",
        "OperatorsName",
        "InstitutionName",
        "ProtocolName",
        "PixelData",
        "NoSuchKeyword",
    ],
)
def test_headers_that_may_name_a_person_are_refused(analyst, planted, keyword):
    study_uid = cohort.studies(analyst)["study_uid"].iloc[0]
    with pytest.raises(Invalid):
        cohort_headers.headers(analyst, study_uid, [keyword])


def test_a_volume_has_the_phantom_s_values(analyst, planted):
    study_uid = cohort.studies(analyst)["study_uid"].iloc[0]
    series_uid = cohort.series(analyst, study_uid)["series_uid"].iloc[0]

    volume = cohort.volume(analyst, series_uid)

    assert volume.array.shape == (4, 64, 64)
    assert volume.array.dtype == np.float32
    assert volume.unit == "HU"
    assert volume.spacing == pytest.approx((1.5, 6.0, 6.0))
    x, y, z = (round(at) for at in volume.index((-70.0, -30.0, 0.0)))
    assert volume.array[z, y, x] == phantom.WATER_HU
    from_above = cohort.lazy_volume(analyst, series_uid).project("max", axis=0)
    np.testing.assert_array_equal(from_above, volume.array.max(axis=0))


def test_pictures_come_without_their_patient(analyst, planted):
    study_uid = cohort.studies(analyst)["study_uid"].iloc[0]
    opened = cohort_view.open_study(analyst, study_uid)

    assert leaks(planted, repr(opened).casefold()) == []
    [series] = opened.view.series
    instance_id, frame = series.frames[0].instance_id, series.frames[0].frame
    info = opened.frame(instance_id, frame).info
    assert info.rows == 64
    assert [window.label for window in info.windows] == ["Window 1", "Window 2"]
    assert (series.grid.size, series.no_volume) == ((64, 64, 4), "")
    with pytest.raises(NotFound):
        opened.frame(instance_id + 1000, 0)


@pytest.mark.parametrize("role", [Role.RECEPTIONIST, Role.TECHNOLOGIST, Role.ADMIN])
def test_only_analysts_read_cohorts(as_role, role):
    ctx = as_role(role)
    for ask in (cohort.patients, cohort.appointments, cohort.studies, cohort.reports):
        with pytest.raises(Forbidden):
            ask(ctx)
    with pytest.raises(Forbidden):
        cohort.volume(ctx, "1.2.3")
    with pytest.raises(Forbidden):
        cohort_view.open_study(ctx, "1.2.3")


def test_analytics_count_hours_of_the_clinic_s_day(ctx, analyst, planted):
    days = analytics.Days(date(2026, 3, 16), date(2026, 3, 16))
    by_hour = analytics.studies_by_hour(analyst, days)
    visits = analytics.turnaround(analyst, days)
    rooms = analytics.utilisation(analyst, days)

    assert by_hour.to_dict("records") == [{"modality": "CT", "hour": 13, "studies": 1}]
    assert visits["minutes_to_report"].tolist() == [42.0]
    assert visits["minutes_to_images"].tolist() == [0.0]
    assert rooms["visits"].tolist() == [1]
    assert rooms["booked_min"].tolist() == [20]
    assert rooms["utilisation"].iloc[0] == pytest.approx(20 / 720)
    summary = analytics.turnaround_summary(visits)
    assert summary.to_dict("records") == [
        {"modality": "CT", "reports": 1, "median_min": 42.0, "p90_min": 42.0}
    ]


def test_analytics_of_quiet_days_keep_their_columns(analyst):
    days = analytics.Days(date(2020, 1, 1), date(2020, 1, 2))

    assert list(analytics.studies_by_hour(analyst, days)) == list(analytics.BY_HOUR)
    assert list(analytics.turnaround(analyst, days)) == list(analytics.TURNAROUND)
    assert list(analytics.utilisation(analyst, days)) == list(analytics.UTILISATION)
    summary = analytics.turnaround_summary(analytics.turnaround(analyst, days))
    assert list(summary) == ["modality", "reports", "median_min", "p90_min"]
    with pytest.raises(Invalid):
        analytics.Days(date(2026, 1, 2), date(2026, 1, 1))


def test_connect_opens_the_clinic_of_the_settings(ctx, settings, planted):
    flags = {name: getattr(settings, name) for name in ("home", "database_url", "timezone")}
    with cp.connect(**flags) as clinic:
        assert len(clinic.studies(modality="CT", since="2026-01-01")) == 1
        study_uid = clinic.studies()["study_uid"].iloc[0]
        viewer = clinic.view(study_uid)
        assert leaks(planted, str(viewer.banner).casefold()) == []
        assert len(viewer.stack()) == 4
    with ctx.read() as session:
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last.action == "view"


def test_importing_the_package_stays_light():
    heavy = "{'pandas', 'panel', 'sqlalchemy', 'pydicom', 'holoviews'}"
    said = f"import sys, clinic_panel; print(sorted({heavy} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_connect_says_when_there_is_no_clinic(tmp_path):
    with pytest.raises(NotFound):
        cp.connect(home=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
