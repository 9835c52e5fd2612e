"""Whether what a modality said of a person contradicts what else is known of them."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from operator import attrgetter
from typing import NamedTuple, Protocol

from clinic_panel import validation
from clinic_panel.imaging.header import Header


class Identified(Protocol):
    """Whatever names a person: a patient, a study or a performed step as it was sent."""

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""

    @property
    def issuer_of_patient_id(self) -> str:
        """Issuer of Patient ID (0010,0021)."""

    @property
    def patient_name(self) -> str:
        """Patient's Name (0010,0010)."""

    @property
    def patient_birth_date(self) -> date | None:
        """Patient's Birth Date (0010,0030)."""

    @property
    def patient_sex(self) -> str:
        """Patient's Sex (0010,0040)."""


class Identity(NamedTuple):
    """A person as one object names them; equal for all objects that say the same."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: date | None
    patient_sex: str

    @property
    def digest(self) -> str:
        """SHA-256 over all that it says, in hexadecimal."""
        return hashlib.sha256(json.dumps(self, default=str).encode()).hexdigest()


_SAID = attrgetter(
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"
)


def identity_of(header: Header) -> Identity:
    """Return whom an object names."""
    return Identity(*_SAID(header))


def differences(sent: Identified, known: Identified) -> tuple[str, ...]:
    """Say in what the person a modality named is another one than the one that is known.

    What either side does not know says nothing, as do a sex other than M and F (PS3.3 C.7.1.1:
    ``O`` is anything) and names without a script in common.
    """
    ids = {sent.patient_id, known.patient_id} - {""}
    issuers = {sent.issuer_of_patient_id, known.issuer_of_patient_id} - {""}
    births = {sent.patient_birth_date, known.patient_birth_date} - {None}
    sexes = {sent.patient_sex.upper(), known.patient_sex.upper()} & {"M", "F"}
    contradicts = {
        "patient ID": len(ids) > 1,
        "issuer of the patient ID": len(issuers) > 1,
        "name": not validation.may_be_same_name(sent.patient_name, known.patient_name),
        "birth date": len(births) > 1,
        "sex": len(sexes) > 1,
    }
    return tuple(name for name, is_so in contradicts.items() if is_so)


def listed(words: tuple[str, ...]) -> str:
    """Return what differs as words: ``name, birth date and sex``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
