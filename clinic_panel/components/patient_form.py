"""Forms of a person's record: new, changed, and changed by two at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from clinic_panel.components.tasks import Change, Done, Field, Task, Values, typed_day
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, Unconfirmed
from clinic_panel.services import patient
from clinic_panel.services.patient import LikelyDuplicate, PatientForm, PatientRow

SEX = {"F": "Female", "M": "Male", "O": "Other"}
LABELS = {
    "family_name": "Family name",
    "given_name": "Given name",
    "middle_name": "Middle name",
    "name_prefix": "Title",
    "name_suffix": "Suffix",
    "ideographic": "Name in ideographs",
    "phonetic": "Phonetic name",
    "patient_birth_date": "Birth date",
    "patient_sex": "Sex",
    "patient_id": "Patient ID",
    "issuer_of_patient_id": "Issuer of the ID",
    "patient_telephone_numbers": "Telephone",
    "patient_address": "Address",
    "allergies": "Allergies",
    "patient_comments": "Remarks",
}


def patient_fields(form: PatientForm, *, is_new: bool) -> list[Field]:
    """Return the fields of a person's record, filled from a form."""

    def field(name: str, width: str = "half", **more: Any) -> Field:
        value = getattr(form, name)
        text = value.isoformat() if isinstance(value, date) else value or ""
        return {"name": name, "label": LABELS[name], "value": text, "width": width, **more}

    id_help = "Empty: the next free one" if is_new else ""
    sexes = [{"value": code, "label": label} for code, label in SEX.items()]
    return [
        field("family_name", required=True, live=is_new, max_length=64, focus=True),
        field("given_name", live=is_new, max_length=64),
        field("patient_birth_date", "third", kind="date", live=is_new, max=date.max.isoformat()),
        field("patient_sex", "third", kind="select", options=sexes, placeholder="Unknown"),
        field("patient_id", "third", help=id_help, required=not is_new, live=is_new, max_length=64),
        field("patient_telephone_numbers", max_length=16),
        field("patient_address", max_length=64),
        field("allergies", "", max_length=64),
        field("patient_comments", "", kind="textarea", rows=2),
        {"kind": "section", "label": "More of the name"},
        field("ideographic", help="Chinese, Japanese or Korean; family name first"),
        field("phonetic", help="Kana or hangul; family name first"),
        field("middle_name", "third", max_length=64),
        field("name_prefix", "third", max_length=64),
        field("name_suffix", "third", max_length=64),
    ]


def form_of(values: Values, base: PatientForm | None = None) -> PatientForm:
    """Return what was typed as a form; what was not asked stays as in ``base``.

    Raises
    ------
    Invalid
        A date is none.
    """
    names = {field.name for field in dataclass_fields(PatientForm)} & values.keys()
    typed = {name: values[name] for name in names}
    if "patient_birth_date" in typed:
        typed["patient_birth_date"] = typed_day(typed["patient_birth_date"], "patient_birth_date")
    return replace(base or PatientForm(family_name=""), **typed)


def hint(row: PatientRow) -> dict[str, str]:
    """Return a person as a link, for a warning."""
    born = row.patient_birth_date.isoformat() if row.patient_birth_date else ""
    parts = (row.display_name, born, row.patient_id, "archived" if row.archived_at else "")
    return {"label": " · ".join(filter(None, parts)), "href": f"/patients?id={row.id}"}


def duplicate_items(warning: Unconfirmed) -> list[dict[str, str]]:
    """Return the people a likely duplicate may be."""
    if isinstance(warning, LikelyDuplicate):
        return [hint(row) for row in warning.candidates]
    return []


class NewPatient(Task):
    """Register a person; who seems to be known already is shown while typing."""

    title = "New patient"
    submit_label = "Register"
    anyway_label = "Register anyway"

    def __init__(self, ctx: Context, then: Callable[[PatientRow], Task] | None = None) -> None:
        self.ctx, self.then = ctx, then

    def fields(self) -> list[Field]:
        """Return an empty record."""
        return patient_fields(PatientForm(family_name=""), is_new=True)

    def changed(self, name: str, values: Values, text: str) -> Change:
        """Look for the person among those known."""
        try:
            known = patient.likely_duplicates(self.ctx, form_of(values))
        except Invalid:  # still typing
            return Change()
        if not known:
            return Change()
        return Change(warning="Perhaps already registered:", items=[hint(row) for row in known])

    def items(self, warning: Unconfirmed) -> list[dict[str, str]]:
        """Return who it may be."""
        return duplicate_items(warning)

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Register, once likely duplicates were looked at."""
        row = patient.register(self.ctx, form_of(values), confirmed=LikelyDuplicate in agreed)
        text = f"Registered as {row.patient_id}."
        if self.then is None:
            return Done(text)
        return Done(text, partial(self.then, row), "Book")


class EditPatient(Task):
    """Correct a person's record."""

    title = "Edit patient"

    def __init__(self, ctx: Context, row: PatientRow) -> None:
        self.ctx, self.row, self.base = ctx, row, PatientForm.of(row)

    def fields(self) -> list[Field]:
        """Return the record as it stands."""
        return patient_fields(self.base, is_new=False)

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Save; when somebody else was first, ask what is to stand."""
        mine = form_of(values, self.base)
        try:
            patient.edit(self.ctx, self.row.id, self.row.version, mine)
        except Conflict:
            return self.compare(mine)
        return Done("Saved.")

    def compare(self, mine: PatientForm) -> Task:
        """Return the question that follows when the record was changed meanwhile."""
        return ResolvePatient(self.ctx, patient.get(self.ctx, self.row.id), self.base, mine)


class ResolvePatient(Task):
    """Two people changed one record: show both, and let this one choose."""

    title = "Somebody else changed this record"
    submit_label = "Save the chosen"
    intro = "Nothing you typed is lost. Choose what is to stand where you differ."

    def __init__(self, ctx: Context, row: PatientRow, base: PatientForm, mine: PatientForm) -> None:
        self.ctx, self.row, self.mine = ctx, row, mine
        theirs = PatientForm.of(row)
        names = [field.name for field in dataclass_fields(PatientForm)]
        # What only one of the two touched merges by itself; the rest is for a person to say.
        self.merged = replace(
            theirs,
            **{n: getattr(mine, n) for n in names if getattr(theirs, n) == getattr(base, n)},
        )
        self.base = theirs
        self.differing = [
            name
            for name in names
            if getattr(self.merged, name) != getattr(mine, name)
            and getattr(mine, name) != getattr(base, name)
        ]

    def fields(self) -> list[Field]:
        """Return one choice for each value in dispute."""
        asked: list[Field] = [self._choice(name) for name in self.differing]
        if not asked:
            asked.append(
                {
                    "kind": "note",
                    "label": "You changed different fields: both changes can stand together.",
                }
            )
        return asked

    def _choice(self, name: str) -> Field:
        return {
            "name": name,
            "kind": "choice",
            "cards": True,
            "label": LABELS[name],
            "required": True,
            "value": "mine",
            "options": [
                {"value": "mine", "label": "Yours", "detail": _shown(getattr(self.mine, name))},
                {
                    "value": "theirs",
                    "label": "Saved meanwhile",
                    "detail": _shown(getattr(self.merged, name)),
                },
            ],
        }

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Save the chosen; should somebody be first once more, ask again."""
        kept = {n: getattr(self.mine, n) for n in self.differing if values.get(n) == "mine"}
        chosen = replace(self.merged, **kept)
        try:
            patient.edit(self.ctx, self.row.id, self.row.version, chosen)
        except Conflict:
            fresh = patient.get(self.ctx, self.row.id)
            return ResolvePatient(self.ctx, fresh, self.base, chosen)
        return Done("Saved.")


def _shown(value: Any) -> str:
    return SEX.get(value, str(value or "")) or "(empty)"
