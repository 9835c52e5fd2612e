"""Many records as tables for analysts: de-identified, audited, one row a thing.

There are no names, identifiers, birth dates or free texts in any frame. Keys and UIDs are stable
pseudonyms (`services.pseudonym`); either they or the real UIDs are understood when one is asked
for. Dates of visits and studies stay: what happens when is what is studied.

A table is read and made without the database's only write lock, which whole tables would keep from
the clinic for seconds; the audit entry is a short transaction of its own before the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from clinic_panel.context import Context
from clinic_panel.imaging.discreet import class_uid, code, unit
from clinic_panel.imaging.volume import LazyVolume, Volume, open_volume
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Series, Study
from clinic_panel.models.patient import Patient
from clinic_panel.models.report import Report
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, pseudonym
from clinic_panel.services.cohort_find import find_series, find_study, in_order
from clinic_panel.services.cohort_frames import (
    APPOINTMENTS,
    INSTANCES,
    PATIENTS,
    REPORTS,
    SERIES,
    STUDIES,
    age_years,
    day_of,
    frame,
    sex,
)


def patients(ctx: Context) -> pd.DataFrame:
    """Return one row a person the clinic knows.

    Raises
    ------
    Forbidden
        The actor may not read cohorts.
    """
    ctx.require(Permission.COHORT_READ)
    visits = select(func.count(Appointment.id)).where(Appointment.patient_pk == Patient.id)
    imaged = select(func.count(Study.id)).where(Study.patient_pk == Patient.id)
    query = select(Patient, visits.scalar_subquery(), imaged.scalar_subquery())
    with ctx.read() as session:
        rows = [
            {
                "patient_key": pseudonym.key(ctx, "patient", row.id),
                "patient_sex": sex(row.patient_sex),
                "age_years": age_years(row.patient_birth_date, ctx.today()),
                "appointments": appointments_,
                "studies": studies_,
                "registered_at": row.created_at,
            }
            for row, appointments_, studies_ in session.execute(query.order_by(Patient.id))
        ]
    return _answer(ctx, "patients", rows, PATIENTS)


def appointments(
    ctx: Context, *, since: str | date | None = None, until: str | date | None = None
) -> pd.DataFrame:
    """Return one row a booking that begins on the days from ``since`` to ``until``, both included.

    Raises
    ------
    Forbidden, Invalid
        The actor may not read cohorts, or a day is none.
    """
    ctx.require(Permission.COHORT_READ)
    query = select(Appointment).order_by(Appointment.start_at, Appointment.id)
    if since is not None:
        query = query.where(Appointment.start_at >= ctx.day_bounds(day_of(since))[0])
    if until is not None:
        query = query.where(Appointment.start_at < ctx.day_bounds(day_of(until))[1])
    query = query.options(
        joinedload(Appointment.room),
        joinedload(Appointment.procedure),
        selectinload(Appointment.studies).selectinload(Study.report).selectinload(Report.versions),
    )
    with ctx.read() as session:
        rows = [
            {
                "appointment_key": pseudonym.key(ctx, "appointment", row.id),
                "patient_key": pseudonym.key(ctx, "patient", row.patient_pk),
                "start_at": row.start_at,
                "duration_min": round((row.end_at - row.start_at).total_seconds() / 60),
                "room": row.room.room_name,
                "modality": code(row.room.modality),
                "procedure_code": row.procedure.code_value,
                "procedure": row.procedure.requested_procedure_description,
                "status": row.status.value,
                "priority": row.priority.value,
                "checked_in_at": row.checked_in_at,
                "images_at": row.images_at,
                "signed_at": _first_signature(row.studies),
            }
            for row in session.scalars(query)
        ]
    return _answer(ctx, "appointments", rows, APPOINTMENTS)


def studies(
    ctx: Context,
    *,
    modality: str = "",
    since: str | date | None = None,
    until: str | date | None = None,
) -> pd.DataFrame:
    """Return one row a study, by study date where the device sent one, else by its arrival.

    Raises
    ------
    Forbidden, Invalid
        The actor may not read cohorts, or a day is none.
    """
    ctx.require(Permission.COHORT_READ)
    query = _between(ctx, select(Study), since, until).order_by(Study.first_received_at, Study.id)
    if modality:
        query = query.where(Study.series.any(Series.modality == modality))
    query = query.options(
        selectinload(Study.series),
        joinedload(Study.patient),
        joinedload(Study.appointment).joinedload(Appointment.procedure),
        joinedload(Study.report),
    )
    with ctx.read() as session:
        rows = [_study(ctx, row) for row in session.scalars(query)]
    return _answer(ctx, "studies", rows, STUDIES)


def series(ctx: Context, study_uid: str) -> pd.DataFrame:
    """Return one row a series of a study.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such study.
    """
    ctx.require(Permission.COHORT_READ)
    with ctx.read() as session:
        study = find_study(ctx, session, study_uid)
        rows = [
            {
                "series_uid": pseudonym.uid(ctx, row.series_instance_uid),
                "study_uid": pseudonym.uid(ctx, study.study_instance_uid),
                "modality": code(row.modality),
                "series_number": row.series_number,
                "body_part_examined": code(row.body_part_examined),
                "instances": row.number_of_instances,
            }
            for row in sorted(study.series, key=lambda each: (each.series_number or 0, each.id))
        ]
    return _answer(ctx, "series", rows, SERIES, study)


def instances(ctx: Context, series_uid: str) -> pd.DataFrame:
    """Return one row an instance of a series.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such series.
    """
    ctx.require(Permission.COHORT_READ)
    with ctx.read() as session:
        found = find_series(ctx, session, series_uid)
        rows = [
            {
                "instance_uid": pseudonym.uid(ctx, row.sop_instance_uid),
                "series_uid": pseudonym.uid(ctx, found.series_instance_uid),
                "sop_class_uid": class_uid(row.sop_class_uid),
                "transfer_syntax_uid": class_uid(row.transfer_syntax_uid),
                "instance_number": row.instance_number,
                "rows": row.rows,
                "columns": row.columns,
                "frames": row.number_of_frames,
                "size_bytes": row.size_bytes,
                "received_at": row.received_at,
            }
            for row in in_order(found.instances)
        ]
        study = found.study
    return _answer(ctx, "instances", rows, INSTANCES, study)


def reports(ctx: Context) -> pd.DataFrame:
    """Return one row a report: when, of what and how far, nothing of what it says.

    Raises
    ------
    Forbidden
        The actor may not read cohorts.
    """
    ctx.require(Permission.COHORT_READ)
    query = (
        select(Report)
        .order_by(Report.id)
        .options(joinedload(Report.study), selectinload(Report.versions))
    )
    with ctx.read() as session:
        rows = [
            {
                "report_key": pseudonym.key(ctx, "report", row.id),
                "study_uid": pseudonym.uid(ctx, row.study.study_instance_uid),
                "modality": _modality(row.study),
                "status": row.status.value,
                "template": row.template,
                "versions": len(row.versions),
                "reader_key": pseudonym.key(ctx, "user", row.author_pk),
                "started_at": row.created_at,
                "signed_at": row.versions[0].signed_at if row.versions else None,
            }
            for row in session.scalars(query)
        ]
    return _answer(ctx, "reports", rows, REPORTS)


def volume(ctx: Context, series_uid: str) -> Volume:
    """Load a series as one array in modality units.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such series.
    NotDisplayable
        The images do not form a volume; the message says why.
    """
    return lazy_volume(ctx, series_uid).load()


def lazy_volume(ctx: Context, series_uid: str) -> LazyVolume:
    """Describe a series as one array that Dask decodes when it is needed.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read cohorts, or there is no such series.
    NotDisplayable
        The images do not form a volume; the message says why.
    """
    ctx.require(Permission.COHORT_READ)
    with ctx.read() as session:
        found = find_series(ctx, session, series_uid)
        paths = [ctx.store.path(row.path) for row in found.instances]
        patient_pk = found.study.patient_pk
    with ctx.begin() as session:
        audit.record(
            ctx,
            session,
            Action.VIEW,
            found,
            patient_pk=patient_pk,
            list="cohort volume",
            instances=len(paths),
        )
    found_volume = open_volume(paths)
    return replace(found_volume, unit=unit(found_volume.unit))


def _study(ctx: Context, row: Study) -> dict[str, Any]:
    visit, person = row.appointment, row.patient
    born = person.patient_birth_date if person else row.patient_birth_date
    taken = row.study_date or row.first_received_at.astimezone(ctx.zone).date()
    sent = (row.issuer_of_patient_id, row.patient_id)  # of somebody the desk does not know
    return {
        "study_uid": pseudonym.uid(ctx, row.study_instance_uid),
        "patient_key": pseudonym.key(ctx, "patient", row.patient_pk or sent),
        "appointment_key": pseudonym.key(ctx, "appointment", visit.id) if visit else None,
        "modality": _modality(row),
        "study_date": row.study_date,
        "received_at": row.first_received_at,
        "procedure_code": visit.procedure.code_value if visit else None,
        "procedure": visit.procedure.requested_procedure_description if visit else None,
        "body_part_examined": next(
            (part for each in row.series if (part := code(each.body_part_examined))), None
        ),
        "patient_sex": sex(person.patient_sex if person else row.patient_sex),
        "age_years": age_years(born, taken),
        "series": len(row.series),
        "instances": row.number_of_instances,
        "report_status": row.report.status.value if row.report else None,
    }


def _between(
    ctx: Context, query: Select[Any], since: str | date | None, until: str | date | None
) -> Select[Any]:
    unsaid = Study.study_date.is_(None)
    if since is not None:
        day = day_of(since)
        arrived = unsaid & (Study.first_received_at >= ctx.day_bounds(day)[0])
        query = query.where(or_(Study.study_date >= day, arrived))
    if until is not None:
        day = day_of(until)
        arrived = unsaid & (Study.first_received_at < ctx.day_bounds(day)[1])
        query = query.where(or_(Study.study_date <= day, arrived))
    return query


def _answer(
    ctx: Context,
    name: str,
    rows: list[dict[str, Any]],
    columns: Mapping[str, str],
    study: Study | None = None,
) -> pd.DataFrame:
    """Lay out what was read, and record it before it is handed out."""
    table = frame(ctx, rows, columns)
    with ctx.begin() as session:
        audit.record(
            ctx,
            session,
            Action.VIEW if study else Action.SEARCH,
            study,
            patient_pk=study.patient_pk if study else None,
            list=f"cohort {name}",
            found=len(rows),
        )
    return table


def _first_signature(found: Iterable[Study]) -> datetime | None:
    signed = [version.signed_at for row in found if row.report for version in row.report.versions]
    return min(signed, default=None)


def _modality(row: Study) -> str:
    return "\\".join(filter(None, map(code, row.modalities)))
