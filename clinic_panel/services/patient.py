"""The people the clinic knows: register, find, correct, and read one's record."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound, Unconfirmed
from clinic_panel.models.appointment import Appointment
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Study
from clinic_panel.models.patient import Patient
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.services import audit, changes, numbers
from clinic_panel.services.demographics import PatientForm, PatientRow, age_years

__all__ = [
    "LikelyDuplicate",
    "PatientForm",
    "PatientRow",
    "age_years",
    "archive",
    "edit",
    "find",
    "get",
    "likely_duplicates",
    "matching",
    "register",
    "restore",
]

MAX_WORDS = 8  # words of one search


class LikelyDuplicate(Unconfirmed):
    """The clinic seems to know this person; ``candidates`` are the records to look at."""

    default = "A patient with this name and birth date, or this ID, is already registered."

    def __init__(self, candidates: tuple[PatientRow, ...]) -> None:
        self.candidates = candidates
        super().__init__()


def register(ctx: Context, form: PatientForm, *, confirmed: bool = False) -> PatientRow:
    """Enter a new person.

    Parameters
    ----------
    confirmed
        The person at the desk looked at the likely duplicates: it is somebody else.

    Raises
    ------
    Forbidden
        The actor may not.
    Invalid
        A rule is broken, or the ID is taken; ``field`` names the field.
    LikelyDuplicate
        Not confirmed, and the clinic seems to know the person; nothing is kept but in the audit.
    """
    ctx.require(Permission.PATIENT_WRITE)
    columns = form.columns(ctx.today())
    given_id = validation.patient_id(form.patient_id) if form.patient_id.strip() else ""
    try:
        with ctx.begin() as session:
            if not confirmed and (alike := _alike(session, form, ctx.today())):
                raise LikelyDuplicate(alike)
            issuer = columns["issuer_of_patient_id"]
            patient_id = given_id or _next_id(session, issuer)
            row = Patient(patient_id=patient_id, created_at=ctx.clock(), **columns)
            session.add(row)
            session.flush()
            audit.record(ctx, session, Action.CREATE, row, patient_pk=row.id)
            return PatientRow.of(row, ctx.today())
    except LikelyDuplicate as known:
        _note_shown(ctx, known.candidates)  # that transaction was rolled back
        raise
    except IntegrityError:
        raise Invalid("This patient ID is already in use.", field="patient_id") from None


def likely_duplicates(ctx: Context, form: PatientForm) -> list[PatientRow]:
    """Return who is known by the same ID, or by the same name and birth date; a hit is audited.

    Raises
    ------
    Forbidden
        The actor may not read patients.
    """
    ctx.require(Permission.PATIENT_READ)
    with ctx.read() as session:
        found = _alike(session, form, ctx.today())
    if found:
        _note_shown(ctx, found)
    return list(found)


def _note_shown(ctx: Context, found: tuple[PatientRow, ...]) -> None:
    with ctx.begin() as session:
        audit.record(ctx, session, Action.SEARCH, count=len(found), duplicates=True)


def find(
    ctx: Context, text: str, limit: int = 20, *, include_archived: bool = False
) -> list[PatientRow]:
    """Find people by parts of the name in any script, ID, birth date or accession number.

    Every word has to match something; an exact ID finds archived people too. The best match
    comes first: the ID itself, then names that begin with the text.

    Raises
    ------
    Forbidden
        The actor may not read patients.
    """
    ctx.require(Permission.PATIENT_READ)
    whole = validation.clean(text)
    if not whole:
        return []
    is_id = func.lower(Patient.patient_id) == whole.lower()
    is_exact = or_(is_id, _by_accession(whole))
    visible = or_(Patient.archived_at.is_(None), is_exact)
    query = select(Patient).where(or_(is_exact, matching(whole)))
    if not include_archived:
        query = query.where(visible)
    folded = validation.folded(whole)
    rank = case(
        (is_id, 0),
        (Patient.search_name.startswith(folded, autoescape=True), 1),
        else_=2,
    )
    query = query.order_by(rank, Patient.search_name, Patient.id).limit(limit)
    with ctx.begin() as session:
        rows = [PatientRow.of(row, ctx.today()) for row in session.scalars(query)]
        # Neither the text nor the names: both would put a person into the audit's detail.
        audit.record(ctx, session, Action.SEARCH, count=len(rows))
        return rows


def get(ctx: Context, patient_pk: int) -> PatientRow:
    """Return one person's demographics; the look is audited.

    Raises
    ------
    Forbidden, NotFound
        The actor may not read patients, or there is no such record.
    """
    ctx.require(Permission.PATIENT_READ)
    with ctx.begin() as session:
        row = _known(session, patient_pk)
        audit.record(ctx, session, Action.VIEW, row, patient_pk=row.id)
        return PatientRow.of(row, ctx.today())


def edit(ctx: Context, patient_pk: int, version: int, form: PatientForm) -> PatientRow:
    """Correct a person's record.

    Parameters
    ----------
    version
        Of the row the form was filled from.

    Raises
    ------
    Forbidden, NotFound
        The actor may not, or there is no such record.
    Invalid
        A rule is broken, or the ID is taken; ``field`` names the field.
    Conflict
        Someone else changed the record first; it stands as they left it.
    """
    ctx.require(Permission.PATIENT_WRITE)
    columns = form.columns(ctx.today())
    columns["patient_id"] = validation.patient_id(form.patient_id)
    try:
        with ctx.begin() as session:
            row = _known(session, patient_pk)
            if row.version != version:
                raise Conflict
            changed = sorted(k for k, value in columns.items() if getattr(row, k) != value)
            for keyword in changed:
                setattr(row, keyword, columns[keyword])
            if changed:
                audit.record(ctx, session, Action.CHANGE, row, patient_pk=row.id, fields=changed)
                changes.announce(session, Topic.SCHEDULE)
            return PatientRow.of(row, ctx.today())
    except IntegrityError:
        raise Invalid("This patient ID is already in use.", field="patient_id") from None


def archive(ctx: Context, patient_pk: int) -> PatientRow:
    """Take a person off the daily lists; an exact ID still finds the record.

    Raises
    ------
    Forbidden, NotFound
        The actor may not, or there is no such record.
    Conflict
        A visit is still open.
    """
    return _set_archived(ctx, patient_pk, archived=True)


def restore(ctx: Context, patient_pk: int) -> PatientRow:
    """Bring an archived person back.

    Raises
    ------
    Forbidden, NotFound
        The actor may not, or there is no such record.
    """
    return _set_archived(ctx, patient_pk, archived=False)


def _set_archived(ctx: Context, patient_pk: int, *, archived: bool) -> PatientRow:
    ctx.require(Permission.PATIENT_WRITE)
    with ctx.begin() as session:
        row = session.get(Patient, patient_pk, options=[selectinload(Patient.appointments)])
        if row is None:
            raise NotFound("This patient does not exist.")
        if archived:
            row.archive(ctx.clock())
        else:
            row.archived_at = None
        audit.record(ctx, session, Action.CHANGE, row, patient_pk=row.id, archived=archived)
        return PatientRow.of(row, ctx.today())


def _known(session: Session, patient_pk: int) -> Patient:
    row = session.get(Patient, patient_pk)
    if row is None:
        raise NotFound("This patient does not exist.")
    return row


def _next_id(session: Session, issuer: str) -> str:
    while True:  # IDs typed by hand or imported may lie ahead of the range
        candidate = f"P{numbers.take(session, 'patient'):06d}"
        taken = select(Patient.id).where(
            Patient.patient_id == candidate, Patient.issuer_of_patient_id == issuer
        )
        if session.scalar(taken) is None:
            return candidate


def _alike(session: Session, form: PatientForm, today: date) -> tuple[PatientRow, ...]:
    columns = form.columns(today)
    ways: list[ColumnElement[bool]] = []
    if form.patient_id.strip():
        ways.append(Patient.patient_id == validation.clean(form.patient_id))
    if form.patient_birth_date is not None:
        names = {validation.folded(group) for group in columns["patient_name"].split("=")} - {""}
        padded = " " + Patient.search_name + " "
        same_name = or_(*(padded.contains(f" {name} ", autoescape=True) for name in names))
        ways.append(and_(Patient.patient_birth_date == form.patient_birth_date, same_name))
    if not ways:
        return ()
    query = select(Patient).where(or_(*ways)).order_by(Patient.id).limit(5)
    return tuple(PatientRow.of(row, today) for row in session.scalars(query))


def matching(text: str) -> ColumnElement[bool]:
    """Return the condition that every word of a text says something of the patient."""
    return and_(*map(_matches, validation.clean(text).split()[:MAX_WORDS]))


def _matches(word: str) -> ColumnElement[bool]:
    folded = validation.folded(word)
    ways: list[ColumnElement[bool]] = [
        func.lower(Patient.patient_id).contains(word.lower(), autoescape=True),
        _by_accession(word),
    ]
    if folded:
        ways.append(Patient.search_name.contains(folded, autoescape=True))
    if validation.is_unspaced(folded):
        unspaced = func.replace(Patient.search_name, " ", "")
        ways.append(unspaced.contains(folded.replace(" ", ""), autoescape=True))
    if (day := validation.typed_date(word)) is not None:
        ways.append(Patient.patient_birth_date == day)
    elif len(word) == 4 and word.isdecimal() and "1850" < word < "2200":
        year = int(word)
        ways.append(Patient.patient_birth_date.between(date(year, 1, 1), date(year, 12, 31)))
    return or_(*ways)


def _by_accession(number: str) -> ColumnElement[bool]:
    booked = select(Appointment.patient_pk).where(Appointment.accession_number == number.upper())
    imaged = select(Study.patient_pk).where(
        Study.accession_number == number, Study.patient_pk.is_not(None)
    )
    return or_(Patient.id.in_(booked), Patient.id.in_(imaged))
