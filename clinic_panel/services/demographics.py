"""What the desk knows of a person: the form it fills and the row it reads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from clinic_panel import validation
from clinic_panel.errors import Invalid
from clinic_panel.models.patient import Patient

SEXES = ("", "F", "M", "O")  # PS3.3 C.7.1.1; empty: not known


@dataclass(frozen=True, slots=True, repr=False)
class PatientForm:
    """What the desk enters of a person; an empty ``patient_id`` asks for the next free one.

    ``ideographic`` and ``phonetic`` are whole names, family first, parted by a blank.
    """

    family_name: str
    given_name: str = ""
    middle_name: str = ""
    name_prefix: str = ""
    name_suffix: str = ""
    ideographic: str = ""
    phonetic: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_telephone_numbers: str = ""
    patient_address: str = ""
    patient_comments: str = ""
    allergies: str = ""

    @classmethod
    def of(cls, row: PatientRow) -> PatientForm:
        """Return the form as it stands for a known person."""
        alphabetic, ideographic, phonetic = validation.name_groups(row.patient_name)
        family, given, middle, prefix, suffix = [*alphabetic.split("^"), *[""] * 5][:5]
        same = {field.name for field in fields(cls)} & {field.name for field in fields(row)}
        return cls(
            family_name=family,
            given_name=given,
            middle_name=middle,
            name_prefix=prefix,
            name_suffix=suffix,
            ideographic=" ".join(ideographic.replace("^", " ").split()),
            phonetic=" ".join(phonetic.replace("^", " ").split()),
            **{name: getattr(row, name) for name in same},
        )

    def columns(self, today: date) -> dict[str, Any]:
        """Return the values of the patient's columns, checked; without the ID.

        Raises
        ------
        Invalid
            A rule is broken; ``field`` names the field.
        """
        if self.patient_sex not in SEXES:
            raise Invalid("Choose female, male, other or unknown.", field="patient_sex")
        short = validation.short_text
        return {
            "patient_name": validation.person_name(
                self.family_name,
                self.given_name,
                middle=self.middle_name,
                prefix=self.name_prefix,
                suffix=self.name_suffix,
                ideographic=_group(self.ideographic),
                phonetic=_group(self.phonetic),
            ),
            "patient_birth_date": validation.birth_date(self.patient_birth_date, today),
            "patient_sex": self.patient_sex,
            "issuer_of_patient_id": short(self.issuer_of_patient_id, "issuer_of_patient_id"),
            "patient_telephone_numbers": short(
                self.patient_telephone_numbers, "patient_telephone_numbers", limit=16
            ),
            "patient_address": short(self.patient_address, "patient_address"),
            "patient_comments": validation.free_text(self.patient_comments, 10_240),
            "allergies": short(self.allergies, "allergies"),
        }


@dataclass(frozen=True, slots=True, repr=False)
class PatientRow:
    """One person, for a list, a banner or a form."""

    id: int
    version: int
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    display_name: str
    patient_birth_date: date | None
    age_years: int | None
    patient_sex: str
    patient_telephone_numbers: str
    patient_address: str
    patient_comments: str
    allergies: str
    archived_at: datetime | None

    @classmethod
    def of(cls, row: Patient, today: date) -> PatientRow:
        """Copy what a screen needs."""
        born = row.patient_birth_date
        return cls(
            display_name=validation.display_name(row.patient_name),
            age_years=None if born is None else age_years(born, today),
            **{
                field.name: getattr(row, field.name)
                for field in fields(cls)
                if field.name not in ("display_name", "age_years")
            },
        )


def age_years(born: date, today: date) -> int:
    """Return the completed years of life."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _group(text: str) -> str:
    """Return a typed name as a component group: the first blank parts family and given name."""
    kept = validation.clean(text)
    return kept if "^" in kept else "^".join(kept.split(maxsplit=1))
