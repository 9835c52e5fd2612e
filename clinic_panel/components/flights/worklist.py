"""A worklist query explained: what was asked, and which key left each booking out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from clinic_panel.components.flights import words
from clinic_panel.context import Context
from clinic_panel.services.flight_view import Candidate, RequestRow
from clinic_panel.services.worklist_keys import NOT_SCHEDULED

SHOWN_OF_A_GROUP = 60
START = "ScheduledProcedureStepStart"

type Keys = Sequence[dict[str, Any]]
type Block = dict[str, Any]


def asked(keys: Keys) -> Block:
    """Return the keys that narrow a query, each with what it asks for."""
    narrowing = [key for key in keys if "value" in key or "how" in key]
    items = [
        {"label": words.noun(key["keyword"]).capitalize(), "value": words.asked(key)}
        for key in narrowing
    ]
    rest = len(keys) - len(narrowing)
    if not items:
        items = [{"label": "Asked for", "value": "everything"}]
    note = f"{words.plural(rest, 'more key')} only to be returned." if rest else ""
    return {"kind": "facts", "items": items, "note": note, "label": "What was asked"}


def reason(keyword: str, keys: Keys) -> str:
    """Return what the device asked that kept bookings out: ``The device asked for station CT2``."""
    if keyword == NOT_SCHEDULED:
        return "The visit is over or called off"
    key = next((one for one in keys if one["keyword"] == keyword), {})
    if "value" in key:
        return f"The device asked for {words.noun(keyword)} {words.asked(key)}"
    return f"The device asked for {_hidden(key)} {words.noun(keyword)}"


def _hidden(key: dict[str, Any]) -> str:
    return {"pattern": "a pattern as", "list": "several values as", "range": "a range as"}.get(
        key.get("how", ""), "another"
    )


def own(keyword: str, has: str, status: str = "") -> str:
    """Return what the booking has instead: ``this booking is in CT1``."""
    if keyword == NOT_SCHEDULED:
        return f"this visit is {status}"
    if not has or keyword.endswith("UID") or keyword == "PatientName":
        return f"this booking has another {words.noun(keyword)}"
    shown = words.value(keyword, has)
    texts = {
        "ScheduledStationAETitle": f"this booking is in {shown}",
        "ScheduledProcedureStepStartDate": f"this booking is on {shown}",
        "ScheduledProcedureStepStartTime": f"this booking is at {shown}",
    }
    return texts.get(keyword, f"this booking has {shown}")


def groups(ctx: Context, candidates: Iterable[Candidate], keys: Keys) -> list[Block]:
    """Return the bookings by what became of them: answered first, then the most frequent reason."""
    by_key: dict[str, list[Candidate]] = {}
    for one in candidates:
        by_key.setdefault(one.excluded_by, []).append(one)
    answered = by_key.pop("", [])
    ordered = sorted(by_key.items(), key=lambda item: -len(item[1]))
    return [
        *([_group(ctx, "", "Answered", answered)] if answered else []),
        *(_group(ctx, keyword, reason(keyword, keys), found) for keyword, found in ordered),
    ]


def _group(ctx: Context, keyword: str, title: str, found: list[Candidate]) -> Block:
    rest = len(found) - SHOWN_OF_A_GROUP
    return {
        "kind": "fold",
        "key": keyword or "answered",
        "title": title,
        "chip": f"{len(found)} left out" if keyword else str(len(found)),
        "tone": "amber" if keyword else "green",
        "blocks": [
            {
                "kind": "table",
                "label": title,
                "columns": ["When", "Patient", "Booked for"],
                "rows": [_row(ctx, one) for one in found[:SHOWN_OF_A_GROUP]],
                "note": f"and {rest} more" if rest > 0 else "",
            }
        ],
    }


def _row(ctx: Context, one: Candidate) -> list[str]:
    return [words.minute(ctx, one.start_at), one.display_name, _where(one)]


def _where(one: Candidate) -> str:
    """The room, and the booking's own value where it does not show in the row anyway."""
    if one.excluded_by == NOT_SCHEDULED:
        return f"{one.room_name} · {one.status}"
    hidden = not one.has or one.excluded_by.endswith("UID") or one.excluded_by == "PatientName"
    if not one.excluded_by or hidden or one.excluded_by.startswith(START):
        return one.room_name
    noun, shown = words.noun(one.excluded_by), words.value(one.excluded_by, one.has)
    return f"{one.room_name} · {noun} {shown}"


def step_for(keyword: str) -> str:
    """Return what to do about a key that leaves a booking out."""
    steps = {
        "ScheduledStationAETitle": "Set the station in the device's worklist settings to that of "
        "its room; a booking that stands in the wrong room, move.",
        "ScheduledProcedureStepStartDate": "Choose the day of the booking at the device, or move "
        "the booking.",
        "ScheduledProcedureStepStartTime": "Widen the time span at the device.",
        "Modality": "Let the device ask for the modality of the room, or move the booking to a "
        "room of that modality.",
        "ScheduledProcedureStepStatus": "Check the patient in, or let the device ask for every "
        "status.",
    }
    if keyword.startswith(("Patient", "Accession", "IssuerOf")):
        return "Clear the search fields at the device, or compare what was typed with the booking."
    return steps.get(keyword, "Let the device leave this key empty in its worklist settings.")


def main_reason(one: RequestRow) -> tuple[str, str] | None:
    """Return what left most bookings out of an empty answer, and what to do; None: no key did."""
    counts = Counter(c.excluded_by for c in one.candidates if c.excluded_by != NOT_SCHEDULED)
    if one.answers or not counts:
        return None
    [(keyword, count)] = counts.most_common(1)
    compared = f"{count} of {words.plural(one.considered, 'booking')}"
    return f"{reason(keyword, one.keys)}, which left out {compared}.", step_for(keyword)
