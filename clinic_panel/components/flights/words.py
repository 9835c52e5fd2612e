"""Names, sizes and times of the page *Devices*, as people read them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydicom.datadict import dictionary_description, tag_for_keyword

from clinic_panel.context import Context
from clinic_panel.imaging import legible
from clinic_panel.models.flight import Service
from clinic_panel.services.worklist_keys import NOT_SCHEDULED

SERVICES: dict[Service, str] = {
    Service.ECHO: "Echo",
    Service.STORE: "Store",
    Service.WORKLIST: "Worklist",
    Service.FIND: "Query",
    Service.MOVE: "Move",
    Service.GET: "Get",
    Service.MPPS: "MPPS",
    Service.COMMITMENT: "Commitment",
    Service.OTHER: "Other",
}
LONG: dict[Service, str] = {
    Service.ECHO: "Verification (C-ECHO)",
    Service.STORE: "Storage (C-STORE)",
    Service.WORKLIST: "Worklist query",
    Service.FIND: "Study query (C-FIND)",
    Service.MOVE: "Retrieve (C-MOVE)",
    Service.GET: "Retrieve (C-GET)",
    Service.MPPS: "Performed procedure step (MPPS)",
    Service.COMMITMENT: "Storage commitment",
    Service.OTHER: "Other request",
}
# Presentation context results (PS3.8 Table 9-18).
RESULTS = {
    0: "Accepted",
    1: "Refused by this clinic",
    2: "Refused, no reason given",
    3: "Not offered by this clinic",
    4: "No common transfer syntax",
}
NOUNS = {
    "ScheduledStationAETitle": "station",
    "ScheduledProcedureStepStartDate": "date",
    "ScheduledProcedureStepStartTime": "time",
    "Modality": "modality",
    "ModalitiesInStudy": "modality",
    "PatientName": "patient name",
    "PatientID": "patient ID",
    "PatientBirthDate": "birth date",
    "PatientSex": "sex",
    "IssuerOfPatientID": "issuer of the patient ID",
    "AccessionNumber": "accession number",
    "StudyInstanceUID": "study UID",
    "SeriesInstanceUID": "series UID",
    "SOPInstanceUID": "instance UID",
    "ScheduledProcedureStepID": "step ID",
    "ScheduledProcedureStepStatus": "step status",
    "ScheduledStationName": "station name",
    "ScheduledProcedureStepLocation": "location",
    "RequestedProcedureID": "procedure ID",
    "RequestedProcedurePriority": "priority",
    "ReferringPhysicianName": "referring physician",
    "ScheduledPerformingPhysicianName": "performing physician",
    "QueryRetrieveLevel": "level",
    "MoveDestination": "destination",
    NOT_SCHEDULED: "status of the visit",
}
_HOW = {
    "value": "one exact value",
    "pattern": "a pattern",
    "list": "a list of values",
    "range": "a range",
}


def noun(keyword: str) -> str:
    """Return what an attribute is called in a sentence."""
    if keyword in NOUNS:
        return NOUNS[keyword]
    if tag_for_keyword(keyword) is None:
        return keyword
    return dictionary_description(keyword).replace("\u200b", "").lower()


def value(keyword: str, text: str) -> str:
    """Return a key's value as people write it: dates and times, single ones and ranges."""
    if keyword.endswith("Date"):
        return _range(text, _date)
    if keyword.endswith("Time"):
        return _range(text, _time)
    return text.replace("\\", " or ")


def asked(key: dict[str, Any]) -> str:
    """Return what a recorded key asked for; of a person's value only how it was asked is known."""
    if "value" in key:
        return value(key["keyword"], key["value"])
    return _HOW.get(key.get("how", ""), "a value")


def _range(text: str, shown: Any) -> str:
    first, dash, last = text.partition("-")
    if not dash:
        return str(shown(text))
    if first and last:
        return str(shown(first)) if first == last else f"{shown(first)} to {shown(last)}"
    return f"from {shown(first)}" if first else f"until {shown(last)}"


def _date(text: str) -> str:
    found = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text.strip())
    return "-".join(found.groups()) if found else text


def _time(text: str) -> str:
    found = re.fullmatch(r"(\d{2}):?(\d{2})(?::?(\d{2})(?:\.\d+)?)?", text.strip())
    if not found:
        return text
    hours, minutes, seconds = found.groups()
    return f"{hours}:{minutes}" + (f":{seconds}" if seconds and seconds != "00" else "")


def uid_name(text: str) -> str:
    """Return the standard's name of a UID; a private one as it is."""
    name = legible.uid_name(text)
    return "Private" if name == text else name.split(" (Default")[0].split(":")[0]


def plural(count: int, one: str, many: str = "") -> str:
    """Return ``1 object`` or ``3 objects``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 100 or unit == "bytes" else f"{amount:.1f} {unit}"


def lasted(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(ctx: Context, at: datetime) -> str:
    """Return the time of a moment in the clinic's zone, to the second."""
    return f"{at.astimezone(ctx.zone):%H:%M:%S}"


def minute(ctx: Context, at: datetime) -> str:
    """Return day and minute of a moment; of today only the minute."""
    local = at.astimezone(ctx.zone)
    return f"{local:%H:%M}" if local.date() == ctx.today() else f"{local:%d.%m.%Y %H:%M}"
