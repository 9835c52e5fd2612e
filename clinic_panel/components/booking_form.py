"""The form of a booking: who, what, where and when."""

from __future__ import annotations

from datetime import date
from typing import Any

from clinic_panel.components.free_times import one_time, start_of, time_fields
from clinic_panel.components.patient_form import duplicate_items, form_of
from clinic_panel.components.tasks import Change, Done, Field, Task, Values, key, typed_day
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
from clinic_panel.models.appointment import Priority
from clinic_panel.services import patient, workflow
from clinic_panel.services.patient import LikelyDuplicate, PatientRow
from clinic_panel.services.workflow import Booking, ProcedureRow, RoomRow

NEW = "new"
HITS = 8
PRIORITIES = {Priority.ROUTINE: "Routine", Priority.HIGH: "High", Priority.STAT: "STAT"}


def person_option(row: PatientRow) -> dict[str, str]:
    """Return a person as a row of a lookup."""
    born = row.patient_birth_date.isoformat() if row.patient_birth_date else "no birth date"
    return {
        "value": str(row.id),
        "label": row.display_name,
        "detail": f"{born} · {row.patient_id}",
    }


class Book(Task):
    """Book an examination for a known person or a new one."""

    title = "Book an appointment"
    submit_label = "Book appointment"
    anyway_label = "Book anyway"
    wide = True
    follows = True

    def __init__(
        self,
        ctx: Context,
        day: date,
        person: PatientRow | None = None,
        *,
        room_pk: int | None = None,
        at: str = "",
    ) -> None:
        """Ask with some answers given.

        Parameters
        ----------
        day
            Clinic-local date; a past one becomes today.
        room_pk
            Only what can be done in this room is offered.
        at
            Clinic-local time, ``HH:MM``.
        """
        self.ctx = ctx
        self.rooms = {str(row.id): row for row in workflow.rooms(ctx)}
        self.wanted = wanted = self.rooms.get(str(room_pk))
        self.procedures = {
            str(row.id): row
            for row in workflow.procedures(ctx)
            if wanted is None or row.modality == wanted.modality
        }
        self.registered: PatientRow | None = None
        self.hits = [person_option(person)] if person else []
        self.values: Values = {
            "patient_pk": str(person.id) if person else "",
            "day": max(day, ctx.today()).isoformat(),
            "priority": Priority.ROUTINE.value,
            "room_pk": str(room_pk or ""),
            "other_time": at,
        }

    @property
    def procedure(self) -> ProcedureRow | None:
        """The examination chosen."""
        return self.procedures.get(self.values.get("procedure_pk", ""))

    @property
    def fitting(self) -> list[RoomRow]:
        """The rooms the examination can be done in."""
        if self.procedure is None:
            return [self.wanted] if self.wanted else []
        return [room for room in self.rooms.values() if room.modality == self.procedure.modality]

    def fields(self) -> list[Field]:
        """Return what is asked, as far as the answers before allow."""
        fields = [self._patient()]
        if self.values["patient_pk"] == NEW:
            fields += self._person()
        return [*fields, *self._examination(), *self._times(), *self._order()]

    def changed(self, name: str, values: Values, text: str) -> Change:
        """Find the patient, or offer rooms and times that fit."""
        one_time(name, values)
        was_new = self.values["patient_pk"] == NEW
        self.values = self._known(values)
        if name == "patient_pk" and not values["patient_pk"]:
            self._find(text)
        elif name == "patient_pk" and values["patient_pk"] == NEW and not was_new:
            self._prefill(text)
        rooms = [str(room.id) for room in self.fitting]
        if values.get("room_pk") not in rooms:
            values["room_pk"] = rooms[0] if rooms else ""
        return Change(self.fields())

    def items(self, warning: Unconfirmed) -> list[dict[str, str]]:
        """Return who a new patient may be."""
        return duplicate_items(warning)

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Register the person if new, and book."""
        self.values = self._known(values)
        wrong = "Choose an examination."
        procedure_pk = key(values["procedure_pk"], "procedure_pk", wrong)
        room_pk = key(values["room_pk"], "room_pk", "Choose a room.")
        day = self._day() or self.ctx.today()
        start_at = start_of(self.ctx, values, day)
        booking = Booking(
            patient_pk=self._patient_pk(values, agreed),
            procedure_pk=procedure_pk,
            room_pk=room_pk,
            start_at=start_at,
            priority=Priority(values["priority"] or Priority.ROUTINE),
            referring_physician_name=values["referring_physician_name"],
            scheduled_performing_physician_name=values["scheduled_performing_physician_name"],
            reason_for_the_requested_procedure=values["reason_for_the_requested_procedure"],
            confirmed=Unconfirmed in agreed,
        )
        row = workflow.book(self.ctx, booking)
        at = row.start_at.astimezone(self.ctx.zone)
        when = f"{at:%H:%M}" if day == self.ctx.today() else f"{at:%d %B, %H:%M}"
        return Done(f"Booked: {row.room_name}, {when}.")

    def _patient_pk(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> int:
        if values["patient_pk"] != NEW:
            return key(values["patient_pk"], "patient_pk", "Choose a patient.")
        person = patient.register(self.ctx, form_of(values), confirmed=LikelyDuplicate in agreed)
        self.registered, self.hits = person, [person_option(person)]
        self._known(values)
        return person.id

    def _known(self, values: Values) -> Values:
        """Should the booking have failed, the next try is for the person registered before it."""
        if self.registered and values["patient_pk"] == NEW:
            values["patient_pk"] = str(self.registered.id)
        return values

    def _day(self) -> date | None:
        return typed_day(self.values.get("day", ""), "day")

    def _find(self, text: str) -> None:
        text = text.strip()
        found = patient.find(self.ctx, text, HITS) if len(text) > 1 else []
        self.hits = [person_option(row) for row in found]
        if text:
            self.hits.append(
                {
                    "value": NEW,
                    "label": "New patient",
                    "detail": "Register and book at once",
                    "extra": "1",
                }
            )
        self.typed = text

    def _prefill(self, text: str) -> None:
        del text  # the option's own label by now
        typed = getattr(self, "typed", "")
        if any(character.isdigit() for character in typed):
            return
        family, comma, given = typed.partition(",")
        if not comma:
            family, _, given = typed.partition(" ")
        self.values.update(family_name=family.strip(), given_name=given.strip())

    def _patient(self) -> Field:
        return {
            "name": "patient_pk",
            "label": "Patient",
            "kind": "lookup",
            "required": True,
            "live": True,
            "options": self.hits,
            "value": self.values["patient_pk"],
            "placeholder": "Name, ID, birth date or accession number",
            "focus": not self.values["patient_pk"],
        }

    def _person(self) -> list[Field]:
        def field(name: str, label: str, **more: Any) -> Field:
            value = self.values.get(name, "")
            return {"name": name, "label": label, "width": "half", "value": value, **more}

        return [
            field("family_name", "Family name", required=True, max_length=64),
            field("given_name", "Given name", max_length=64),
            field("patient_birth_date", "Birth date", kind="date", required=True, width="third"),
            field(
                "patient_sex",
                "Sex",
                kind="select",
                width="third",
                placeholder="Unknown",
                options=[
                    {"value": "F", "label": "Female"},
                    {"value": "M", "label": "Male"},
                    {"value": "O", "label": "Other"},
                ],
            ),
            field("patient_telephone_numbers", "Telephone", width="third", max_length=16),
        ]

    def _examination(self) -> list[Field]:
        examinations = [
            {
                "value": number,
                "label": f"{row.modality} · {row.requested_procedure_description} "
                f"({row.duration_min} min)",
            }
            for number, row in self.procedures.items()
        ]
        rooms = [{"value": str(room.id), "label": room.room_name} for room in self.fitting]
        return [
            {
                "name": "procedure_pk",
                "label": "Examination",
                "kind": "select",
                "width": "half",
                "required": True,
                "live": True,
                "options": examinations,
                "value": self.values.get("procedure_pk", ""),
            },
            {
                "name": "room_pk",
                "label": "Room",
                "kind": "select",
                "width": "half",
                "required": True,
                "live": True,
                "options": rooms,
                "value": self.values.get("room_pk", ""),
                "placeholder": "Choose an examination first" if not rooms else "Choose…",
            },
        ]

    def _times(self) -> list[Field]:
        room = self.rooms.get(self.values.get("room_pk", ""))
        minutes = self.procedure.duration_min if self.procedure else 0
        times, other = time_fields(self.ctx, room, self._day(), minutes, self.values)
        return [
            {
                "name": "day",
                "label": "Day",
                "kind": "date",
                "width": "half",
                "required": True,
                "live": True,
                "min": self.ctx.today().isoformat(),
                "value": self.values.get("day", ""),
            },
            {
                "name": "priority",
                "label": "Priority",
                "kind": "select",
                "width": "half",
                "required": True,
                "options": [{"value": p.value, "label": name} for p, name in PRIORITIES.items()],
                "value": self.values.get("priority", ""),
            },
            times,
            other,
        ]

    def _order(self) -> list[Field]:
        asked = {
            "referring_physician_name": ("Referring physician", "third"),
            "scheduled_performing_physician_name": ("Performing physician", "third"),
            "reason_for_the_requested_procedure": ("Reason", ""),
        }
        return [
            {
                "name": name,
                "label": label,
                "width": width,
                "max_length": 64,
                "value": self.values.get(name, ""),
            }
            for name, (label, width) in asked.items()
        ]
