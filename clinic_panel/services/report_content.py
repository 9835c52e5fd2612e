"""What a signed report says, as one JSON value: composed from rows, hashed, and printed again."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.documents.pdf import Letterhead, ReportContent, Section
from clinic_panel.errors import Invalid
from clinic_panel.imaging.kinds import taken
from clinic_panel.models.imaging import Instance, Study
from clinic_panel.models.report import Report
from clinic_panel.models.site import SiteSetting

LETTERHEAD = "letterhead"  # SiteSetting: name, address, phone, logo (PNG or JPEG in base64)
DEFAULT_CLINIC = "Imaging clinic"
MAX_KEY_IMAGES = 60
SECTIONS = (
    ("clinical_information", "Clinical information"),
    ("technique", "Technique"),
    ("findings", "Findings"),
    ("impression", "Impression"),
)
SEX = {"M": "Male", "F": "Female", "O": "Other"}  # PS3.3 C.7.1.1


@dataclass(frozen=True, slots=True, repr=False)
class Texts:
    """The four sections as written."""

    clinical_information: str = ""
    technique: str = ""
    findings: str = ""
    impression: str = ""

    @classmethod
    def of(cls, report: Report) -> Texts:
        """Read the sections of a draft."""
        return cls(
            report.clinical_information, report.technique, report.findings, report.impression
        )

    def cleaned(self) -> Texts:
        """Return the sections as they are kept.

        Raises
        ------
        Invalid
            One is too long.
        """
        return Texts(*(validation.free_text(getattr(self, name)) for name, _ in SECTIONS))


@dataclass(frozen=True, slots=True)
class KeyImageRef:
    """One frame the reader chose, at the window it was seen with, and what was subtracted."""

    instance_id: int
    frame: int = 0  # zero-based
    window_center: float | None = None
    window_width: float | None = None
    caption: str = ""
    mask: str | None = None

    @classmethod
    def of(cls, kept: dict[str, Any]) -> KeyImageRef:
        """Read one back from JSON."""
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__ if name in kept})

    def kept(self) -> dict[str, Any]:
        """Return it as JSON.

        Raises
        ------
        Invalid
            The caption is too long or the width not positive.
        """
        if self.window_width is not None and not 0 < self.window_width < 1e9:
            raise Invalid("A window has a positive width.")
        return {
            "instance_id": self.instance_id,
            "frame": self.frame,
            "window_center": self.window_center,
            "window_width": self.window_width,
            "caption": validation.short_text(self.caption, "caption", limit=200),
        } | ({} if self.mask is None else {"mask": self.mask})


def compose(
    ctx: Context, session: Session, report: Report, *, number: int, signed_at: datetime
) -> dict[str, Any]:
    """Return all that the signed report will print, with nothing left to look up later."""
    study = report.study
    return {
        "format": 1,
        "number": number,
        "language": ctx.settings.language,
        "zone": ctx.settings.timezone,
        "letterhead": letterhead(session),
        "patient": patient_of(study),
        "study": study_of(study),
        "sections": {name: getattr(report, name) for name, _ in SECTIONS},
        "key_images": [_with_digest(session, image) for image in report.key_images],
        "signed_by": ctx.actor.display_name or ctx.actor.username,
        "signed_role": ctx.actor.role.value,
        "signed_at": signed_at.isoformat(),
    }


def digest(content: dict[str, Any]) -> str:
    """Return SHA-256 over the canonical JSON: keys sorted, no blanks, ASCII."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def printable(content: dict[str, Any], sha256: str) -> ReportContent:
    """Turn a signed content into what the printer takes, key images aside."""
    patient, study, head = content["patient"], content["study"], content["letterhead"]
    groups = validation.name_groups(patient["patient_name"])
    return ReportContent(
        letterhead=Letterhead(
            name=head["name"],
            address=head["address"],
            phone=head["phone"],
            logo=base64.b64decode(head["logo"]),
        ),
        patient_names=tuple(validation.display_name(group) for group in groups if group)
        or ("Unnamed",),
        patient_id=patient["patient_id"],
        patient_birth_date=_date(patient["patient_birth_date"]),
        patient_sex=SEX.get(patient["patient_sex"], ""),
        patient_age=age(_date(patient["patient_birth_date"]), _date(study["study_date"])),
        study_date=_date(study["study_date"]),
        study_description=study["study_description"],
        modality=", ".join(taken(study["modalities_in_study"])),
        accession_number=study["accession_number"],
        referring_physician_name=_person(study["referring_physician_name"]),
        sections=tuple(
            Section(heading, content["sections"][name], emphasised=name == "impression")
            for name, heading in SECTIONS
        ),
        signed_by=content["signed_by"],
        signed_role=content["signed_role"].capitalize(),
        signed_at=datetime.fromisoformat(content["signed_at"]),
        version=content["number"],
        final=True,
        language=content["language"],
        content_hash=" ".join(sha256[start : start + 4] for start in range(0, 16, 4)),
        zone=content["zone"],
    )


def letterhead(session: Session) -> dict[str, str]:
    """Return whose paper it is, as an administrator set it."""
    setting = session.get(SiteSetting, LETTERHEAD)
    value = setting.value if setting is not None else {}
    return {
        "name": value.get("name") or DEFAULT_CLINIC,
        "address": value.get("address", ""),
        "phone": value.get("phone", ""),
        "logo": value.get("logo", ""),
    }


def age(born: date | None, at: date | None) -> str:
    """Return an age as clinicians say it: years, months below two years, days below two months."""
    if born is None or at is None or at < born:
        return ""
    months = (at.year - born.year) * 12 + at.month - born.month - (at.day < born.day)
    if months >= 24:
        return f"{months // 12} y"
    return f"{months} mo" if months >= 2 else f"{(at - born).days} d"


def patient_of(study: Study) -> dict[str, Any]:
    """Return whose study it is: the matched patient, else as the modality sent it."""
    who = study.patient or study  # unmatched: as the modality sent it
    born = who.patient_birth_date
    return {
        "patient_pk": study.patient_pk,
        "patient_id": who.patient_id,
        "issuer_of_patient_id": who.issuer_of_patient_id,
        "patient_name": who.patient_name,
        "patient_birth_date": born.isoformat() if born else None,
        "patient_sex": who.patient_sex,
    }


def study_of(study: Study) -> dict[str, Any]:
    """Return what a study is, completed from its booking."""
    visit = study.appointment
    referring = visit.referring_physician_name if visit else ""
    return {
        "study_pk": study.id,
        "study_instance_uid": study.study_instance_uid,
        "study_date": study.study_date.isoformat() if study.study_date else None,
        "study_description": study.study_description
        or (visit.procedure.requested_procedure_description if visit else ""),
        "modalities_in_study": study.modalities_in_study,
        "accession_number": study.accession_number or (visit.accession_number if visit else ""),
        "referring_physician_name": study.referring_physician_name or referring,
    }


def _with_digest(session: Session, image: dict[str, Any]) -> dict[str, Any]:
    instance = session.get_one(Instance, image["instance_id"])
    return {
        **image,
        "sop_instance_uid": instance.sop_instance_uid,
        "sha256": instance.sha256,
    }


def _person(name: str) -> str:
    return validation.display_name(name) if name else ""


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
