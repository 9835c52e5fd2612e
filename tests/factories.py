"""Valid rows with little to say; every value can be overridden."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from pydicom.uid import generate_uid
from sqlalchemy import select

from clinic_panel.context import Context
from clinic_panel.models.appointment import Appointment, Procedure, Room
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.patient import Patient
from clinic_panel.models.user import Role, User
from clinic_panel.services.passwords import hash_password

_numbers = count(1)
PASSWORD = "correct horse battery"


def user(ctx: Context, role: Role, **values: Any) -> User:
    """One account a role; the same again when asked twice."""
    name = values.pop("username", role.value)
    with ctx.begin() as session:
        found = session.scalar(select(User).where(User.username == name))
        if found is None:
            found = User(
                username=name,
                display_name=name.title(),
                role=role,
                password_hash=hash_password(ctx.settings.secret, PASSWORD),
                created_at=ctx.clock(),
                **values,
            )
            session.add(found)
        return found


def patient(ctx: Context, **values: Any) -> Patient:
    n = next(_numbers)
    row = Patient(
        **{
            "patient_id": f"P{n:05d}",
            "patient_name": f"Muster{n}^Maria",
            "patient_birth_date": date(1970, 1, 2),
            "patient_sex": "F",
            "created_at": ctx.clock(),
        }
        | values
    )
    return _keep(ctx, row)


def room(ctx: Context, **values: Any) -> Room:
    n = next(_numbers)
    base = {"room_name": f"CT {n}", "station_ae_title": f"CT{n}", "modality": "CT"}
    return _keep(ctx, Room(**base | values))


def procedure(ctx: Context, **values: Any) -> Procedure:
    n = next(_numbers)
    base = {
        "code_value": f"CT{n}",
        "requested_procedure_description": "CT chest",
        "modality": "CT",
        "body_part_examined": "CHEST",
        "duration_min": 20,
    }
    return _keep(ctx, Procedure(**base | values))


def appointment(ctx: Context, **values: Any) -> Appointment:
    n = next(_numbers)
    who = values.pop("patient", None) or patient(ctx)
    where = values.pop("room", None) or room(ctx)
    what = values.pop("procedure", None) or procedure(ctx)
    start: datetime = values.pop("start_at", datetime(2026, 3, 16, 13, 0, tzinfo=UTC))
    end = values.pop("end_at", start + timedelta(minutes=20))
    row = Appointment(
        **{
            "patient_pk": who.id,
            "room_pk": where.id,
            "procedure_pk": what.id,
            "start_at": start,
            "end_at": end,
            "study_instance_uid": generate_uid(),
            "accession_number": f"A{n:06d}",
            "scheduled_procedure_step_id": f"S{n:06d}",
            "requested_procedure_id": f"R{n:06d}",
            "created_at": ctx.clock(),
        }
        | values
    )
    with ctx.begin() as session:
        session.add(row)
        row.take(session.get_one(Room, where.id), start, end)
        session.flush()
        return row


def study(ctx: Context, *, instances: int = 1, **values: Any) -> Study:
    """A study with one series; its files do not exist."""
    n = next(_numbers)
    row = Study(
        **{
            "study_instance_uid": generate_uid(),
            "patient_id": f"P{n:05d}",
            "patient_name": f"Muster{n}^Maria",
            "modalities_in_study": "CT",
            "study_description": "CT chest",
            "study_date": date(2026, 3, 16),
            "number_of_instances": instances,
            "first_received_at": ctx.clock(),
            "last_received_at": ctx.clock(),
        }
        | values
    )
    series = Series(
        study=row,
        series_instance_uid=generate_uid(),
        modality="CT",
        series_number=1,
        number_of_instances=instances,
    )
    for number in range(instances):
        instance(ctx, series, number + 1, digest=f"{n:032x}{number:032x}")
    return _keep(ctx, row)


def instance(ctx: Context, series: Series, number: int, *, digest: str) -> Instance:
    """One more object of a series, kept with it; its file does not exist."""
    return Instance(
        series=series,
        sop_instance_uid=generate_uid(),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        instance_number=number,
        rows=512,
        columns=512,
        sha256=digest,
        path=f"{digest[:2]}/{digest[2:4]}/{digest}",
        size_bytes=525_000,
        received_at=ctx.clock(),
    )


def _keep[Row](ctx: Context, row: Row) -> Row:
    with ctx.begin() as session:
        session.add(row)
        session.flush()
        return row
