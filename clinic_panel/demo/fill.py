"""Fill a home with the sample clinic, as if it had been lived: each event at its own time.

Everything goes through the services the desk, the listener and the readers use, with a clock set
to when it would have happened; so the audit, the numbers and the analytics tell one story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import func, select

from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context, system
from clinic_panel.demo.cast import FINDINGS, PATIENTS, REFERRERS
from clinic_panel.demo.images import Darkroom
from clinic_panel.demo.plan import Fate, Visit, visits, working_days
from clinic_panel.demo.site import Staff, choose_password, hire, open_site
from clinic_panel.errors import Conflict, SlotTaken
from clinic_panel.models.appointment import Appointment, AppointmentStatus
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import User
from clinic_panel.resources import build_context, build_engine, now, upgrade
from clinic_panel.secret import check_secret
from clinic_panel.services import dicom, patient, report, workflow
from clinic_panel.services.patient import LikelyDuplicate
from clinic_panel.services.report_content import Texts

MARKER = "demo"  # SiteSetting: {"days": [...]}, the days that are filled
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Filled:
    """What the home holds now: the accounts' password, and whether anything was added."""

    password: str
    is_changed: bool


def fill(settings: Settings, *, clock: Callable[[], datetime] = now) -> Filled:
    """Bring a home up to date: schema, people, and the days around today.

    Done again on the same day it changes nothing; on a later day it adds that day's bookings.

    Raises
    ------
    Conflict
        The home holds a clinic that is no demo; nothing was changed.
    Unavailable
        The database does not answer.
    SettingsError
        The secret key is not the one that the database is used with.
    """
    engine = build_engine(settings)
    try:
        upgrade(engine)
        check_secret(settings, engine)
        ctx = build_context(settings, engine, system("demo"), clock)
        _check_is_demo(ctx)
        days = _days_filled(ctx)
        opened = _opening(ctx) if not days else ctx.clock()
        password, is_other = choose_password(settings)
        staff = hire(replace(ctx, clock=lambda: opened), password, renew=is_other)
        if ctx.today().isoformat() in days:
            return Filled(password, is_changed=False)
        story = _Story(ctx, staff, password)
        story.tell(is_first=not days)
        _note_days(ctx, [*days, ctx.today().isoformat()])
        return Filled(password, is_changed=True)
    finally:
        engine.dispose()


def _check_is_demo(ctx: Context) -> None:
    """Mark an empty clinic as a demo, and leave any other alone."""
    with ctx.begin() as session:
        if session.get(SiteSetting, MARKER) is not None:
            return
        if session.scalar(select(func.count(User.id))):
            raise Conflict(
                "This home holds a clinic that is no demo: choose another one with --home."
            )
        session.add(SiteSetting(key=MARKER, value={"days": []}))


def _days_filled(ctx: Context) -> list[str]:
    with ctx.read() as session:
        return list(session.get_one(SiteSetting, MARKER).value["days"])


def _note_days(ctx: Context, days: list[str]) -> None:
    with ctx.begin() as session:
        session.get_one(SiteSetting, MARKER).value = {"days": days}


def _opening(ctx: Context) -> datetime:
    """When the sample clinic opened its doors: some days before the first one shown."""
    return ctx.day_bounds(working_days(ctx.today())[0])[0] - timedelta(days=5)


class _Story:
    """The events of the days, collected first and then lived in order."""

    def __init__(self, ctx: Context, staff: Staff, password: str) -> None:
        self._ctx = ctx
        self._staff = staff
        self._password = password
        self._now = ctx.clock()
        self._events: list[tuple[datetime, Callable[[Context], None]]] = []
        self._darkroom = Darkroom()
        self._people: dict[int, int] = {}  # place in the cast: id

    def tell(self, *, is_first: bool) -> None:
        today = self._ctx.today()
        days = working_days(today)
        if is_first:
            begin = _opening(self._ctx)
            open_site(self._at(begin, system("demo")))
        else:
            begin = self._now - _MINUTE
            self._close_stale()
            self._live_booked()
            days = [day for day in days if day >= today]
        self._register(begin)
        local = self._now.astimezone(self._ctx.zone)
        for visit in visits(days, local, len(PATIENTS)):
            self._plan(visit, begin)
        while self._events:  # what happens may lead to more, which is always later
            self._events.sort(key=lambda event: event[0])
            at, happen = self._events.pop(0)
            happen(self._at(at, system("demo")))

    def _at(self, moment: datetime, actor: Actor) -> Context:
        return replace(self._ctx, clock=lambda: moment, actor=actor)

    def _register(self, begin: datetime) -> None:
        for place, form in enumerate(PATIENTS):
            ctx = self._at(begin + place * _MINUTE / 2, self._staff.reception)
            try:
                self._people[place] = patient.register(ctx, form).id
            except LikelyDuplicate as known:  # a second start, or one after a crash
                self._people[place] = known.candidates[0].id

    def _plan(self, visit: Visit, begin: datetime) -> None:
        random = Random(f"{visit.start_at:%Y%m%d%H%M}{visit.room.room_name}")  # noqa: S311
        ahead = visit.start_at - timedelta(minutes=random.randrange(600, 6000, 7))
        booked_at = max(begin + timedelta(minutes=30), min(ahead, self._now - 5 * _MINUTE))

        def book(ctx: Context) -> None:
            try:
                row = workflow.book(ctx.acting_as(self._staff.reception), self._order(visit))
            except SlotTaken:  # an earlier start filled this time
                return
            self._live(row.id, row.accession_number, visit.start_at, visit.fate, random)

        self._events.append((booked_at, book))

    def _order(self, visit: Visit) -> workflow.Booking:
        return workflow.Booking(
            patient_pk=self._people[visit.patient],
            procedure_pk=self._staff.procedures[visit.procedure.code_value],
            room_pk=self._staff.rooms[visit.room.room_name],
            start_at=visit.start_at,
            priority=visit.priority,
            referring_physician_name=REFERRERS[visit.patient % len(REFERRERS)],
            reason_for_the_requested_procedure=visit.procedure.reasons[
                visit.patient % len(visit.procedure.reasons)
            ],
            confirmed=True,
        )

    def _live(
        self,
        appointment_id: int,
        accession_number: str,
        start_at: datetime,
        fate: Fate,
        random: Random,
    ) -> None:
        """Collect what happens to a booked visit until now."""
        staff = self._staff
        local = start_at.astimezone(self._ctx.zone)
        midnight = self._ctx.day_bounds(local.date())[0]

        def add(at: datetime, happen: Callable[[Context], object]) -> None:
            self._events.append((max(at, midnight), lambda ctx: (happen(ctx), None)[1]))

        if fate is Fate.CANCELLED:
            reason = random.choice(("Unwell", "Rebooked by telephone", "Examined elsewhere"))
            add(
                start_at - 90 * _MINUTE,
                lambda ctx: workflow.cancel(ctx.acting_as(staff.reception), appointment_id, reason),
            )
        elif fate is Fate.MISSED:
            add(
                start_at + 35 * _MINUTE,
                lambda ctx: workflow.no_show(ctx.acting_as(staff.reception), appointment_id),
            )
        elif fate is not Fate.BOOKED:
            early = start_at - random.randrange(4, 18) * _MINUTE
            came = min(early, self._now - random.randrange(3, 12) * _MINUTE)
            add(
                came,
                lambda ctx: workflow.check_in(ctx.acting_as(staff.reception), appointment_id),
            )
            if fate.has_images:
                taken = max(start_at, came) + random.randrange(6, 24) * _MINUTE
                signed = taken + random.randrange(15, 110) * _MINUTE
                read = fate is Fate.REPORTED and signed < self._now
                add(taken, lambda ctx: self._image(ctx, accession_number, signed if read else None))

    def _image(self, ctx: Context, accession_number: str, signed_at: datetime | None) -> None:
        study_id = self._darkroom.develop(ctx, accession_number)
        dicom.settle_study(self._at(ctx.clock() + timedelta(seconds=3), ctx.actor), study_id)
        if signed_at is not None:
            self._events.append((signed_at, lambda then: self._report(then, study_id)))

    def _report(self, ctx: Context, study_id: int) -> None:
        ctx = ctx.acting_as(self._staff.doctor)
        draft = report.open_draft(ctx, study_id)
        with ctx.read() as session:
            visit = session.scalars(
                select(Appointment).where(Appointment.studies.any(id=study_id))
            ).one()
            modality = visit.room.modality
        said = FINDINGS[modality]
        texts = Texts(
            draft.texts.clinical_information, said.technique, said.findings, said.impression
        )
        draft = report.save_draft(ctx, draft.id, draft.version, texts)
        report.sign(ctx, draft.id, draft.version, self._password)

    def _close_stale(self) -> None:
        """Tidy up days that nobody lived: a demo that was not started has no patients."""
        midnight = self._ctx.day_bounds(self._ctx.today())[0]
        query = select(Appointment.id).where(
            Appointment.start_at < midnight,
            Appointment.status.in_((AppointmentStatus.BOOKED, AppointmentStatus.ARRIVED)),
        )
        with self._ctx.read() as session:
            stale = session.scalars(query).all()
        for appointment_id in stale:
            ctx = self._ctx.acting_as(self._staff.reception)
            workflow.cancel(ctx, appointment_id, "Rebooked by telephone")

    def _live_booked(self) -> None:
        """Bring today's bookings, made on an earlier day, to where they would be by now."""
        ctx = self._ctx.acting_as(self._staff.reception)
        for row in workflow.appointments_on(ctx, ctx.today()):
            if row.status is not AppointmentStatus.BOOKED:
                continue
            random = Random(row.id)  # noqa: S311
            if row.start_at < self._now - 80 * _MINUTE:
                fate = Fate.REPORTED if random.random() < 0.5 else Fate.TO_READ
            elif row.start_at < self._now + 15 * _MINUTE:
                fate = Fate.WAITING
            else:
                continue
            self._live(row.id, row.accession_number, row.start_at, fate, random)
