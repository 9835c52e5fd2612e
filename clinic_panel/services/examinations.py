"""The examinations that can be booked, as an administrator enters them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.models.appointment import Appointment, Procedure
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes
from clinic_panel.services.rooms import MODALITIES, check_is_free

SHORTEST_MIN, LONGEST_MIN, STEP_MIN = 5, 600, 5
_CODE_STRING = re.compile(r"[A-Z0-9 _]{0,16}", re.ASCII)  # PS3.5 6.2


@dataclass(frozen=True, slots=True)
class ExaminationForm:
    """What is entered of an examination."""

    requested_procedure_description: str
    code_value: str
    modality: str
    body_part_examined: str = ""
    duration_min: int = 20
    is_active: bool = True

    def checked(self) -> ExaminationForm:
        """Return the form as it is kept.

        Raises
        ------
        Invalid
            A rule is broken; the error names the field.
        """
        name = "requested_procedure_description"
        description = validation.short_text(
            self.requested_procedure_description, name, required=True
        )
        code = validation.short_text(self.code_value, "code_value", limit=16, required=True)
        if self.modality not in MODALITIES:
            raise Invalid("Choose what examines.", field="modality")
        body_part = validation.clean(self.body_part_examined).upper()
        if not _CODE_STRING.fullmatch(body_part):
            message = "A body part has at most 16 plain letters, digits and blanks."
            raise Invalid(message, field="body_part_examined")
        if self.duration_min % STEP_MIN or not SHORTEST_MIN <= self.duration_min <= LONGEST_MIN:
            message = f"It takes {SHORTEST_MIN} to {LONGEST_MIN} minutes, in steps of {STEP_MIN}."
            raise Invalid(message, field="duration_min")
        return replace(
            self,
            requested_procedure_description=description,
            code_value=code,
            body_part_examined=body_part,
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """One examination, for a table."""

    id: int
    requested_procedure_description: str
    code_value: str
    modality: str
    body_part_examined: str
    duration_min: int
    is_active: bool


def examinations(ctx: Context) -> list[Examination]:
    """Return all examinations by modality and name, those out of use too.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    """
    ctx.require(Permission.ADMIN)
    query = select(Procedure).order_by(
        Procedure.modality, Procedure.requested_procedure_description, Procedure.id
    )
    with ctx.read() as session:
        return [_row(procedure) for procedure in session.scalars(query)]


def add(ctx: Context, form: ExaminationForm) -> Examination:
    """Offer an examination.

    Raises
    ------
    Forbidden
        The actor is no administrator.
    Invalid
        A rule is broken, or the code is taken.
    """
    ctx.require(Permission.ADMIN)
    procedure = Procedure(**asdict(form.checked()))
    try:
        with ctx.begin() as session:
            session.add(procedure)
            session.flush()
            audit.record(ctx, session, Action.CREATE, procedure, code=procedure.code_value)
            changes.announce(session, Topic.ADMIN, Topic.SCHEDULE)
            return _row(procedure)
    except IntegrityError:
        raise _taken() from None


def change(ctx: Context, known: Examination, form: ExaminationForm) -> Examination:
    """Change an examination; visits that are booked keep their length.

    Parameters
    ----------
    known
        The examination as it was read.

    Raises
    ------
    Forbidden, NotFound
        The actor is no administrator; there is no such examination.
    Conflict
        Someone else changed it meanwhile, or visits are still booked that the change would strand.
    Invalid
        A rule is broken, or the code is taken.
    """
    ctx.require(Permission.ADMIN)
    values = asdict(form.checked())
    try:
        with ctx.begin() as session:
            procedure = session.get(Procedure, known.id, with_for_update=True)
            if procedure is None:
                raise NotFound
            if _row(procedure) != known:
                raise Conflict
            is_ending = procedure.is_active and not form.is_active
            if procedure.modality != form.modality or is_ending:
                check_is_free(ctx, session, Appointment.procedure_pk == procedure.id)
            changed = [name for name, value in values.items() if getattr(procedure, name) != value]
            for name in changed:
                setattr(procedure, name, values[name])
            session.flush()
            audit.record(ctx, session, Action.CHANGE, procedure, fields=changed)
            changes.announce(session, Topic.ADMIN, Topic.SCHEDULE)
            return _row(procedure)
    except IntegrityError:
        raise _taken() from None


def _row(procedure: Procedure) -> Examination:
    return Examination(
        **{name: getattr(procedure, name) for name in Examination.__dataclass_fields__}
    )


def _taken() -> Invalid:
    return Invalid("Another examination has this code.", field="code_value")
