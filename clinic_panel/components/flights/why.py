""" "Why is it not on my scanner?": one booking, its station, and what stands between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clinic_panel.components.flights import words, worklist
from clinic_panel.components.flights.connect import where_to_call
from clinic_panel.components.flights.verdicts import REFUSALS, Verdict, ended, verdict
from clinic_panel.components.schedule import TONES, status_text
from clinic_panel.context import Context
from clinic_panel.models.flight import Ending
from clinic_panel.services.day import HIDDEN_NAME
from clinic_panel.services.flight_replay import Heard, Why
from clinic_panel.services.flight_view import FlightRow
from clinic_panel.services.workflow import AppointmentRow

type Block = dict[str, Any]


def choice(ctx: Context, rows: Iterable[AppointmentRow], day: str) -> Block:
    """Return the bookings of a day to choose from."""
    items = [
        {
            "action": "why",
            "id": row.id,
            "time": f"{row.start_at.astimezone(ctx.zone):%H:%M}",
            "label": row.display_name or HIDDEN_NAME,
            "detail": f"{row.requested_procedure_description} · {row.room_name}",
            "chip": status_text(row),
            "tone": TONES.get(row.status, ""),
        }
        for row in rows
    ]
    return {
        "key": "choice",
        "title": "Why is it not on my scanner?",
        "note": f"Choose the booking that is missing. {day}",
        "blocks": [
            {
                "kind": "choices",
                "label": "Bookings",
                "items": items,
                "empty": "There is no booking on this day: choose another day above.",
            }
        ],
    }


def content(ctx: Context, found: Why) -> Block:
    """Return why a booking is, or is not, on its scanner."""
    judged = explain(ctx, found)
    start = words.minute(ctx, found.start_at)
    return {
        "key": f"why-{found.appointment_id}",
        "back": {"action": "choose", "id": 0, "label": "All bookings of the day"},
        "title": found.display_name,
        "note": f"{start} · {found.room_name} · {found.modality} · station {_station(found)}",
        "chip": judged.label,
        "tone": judged.tone,
        "verdict": {"tone": judged.tone, "text": judged.text, "todo": judged.todo},
        "blocks": [*_heard(ctx, found), *_refused(ctx, found), *_configure(ctx, found)],
        "buttons": [
            {
                "action": "why",
                "id": found.appointment_id,
                "label": "Check again",
                "icon": "refresh",
            }
        ],
    }


def _station(found: Why) -> str:
    return found.station_ae_title or "none"


def explain(ctx: Context, found: Why) -> Verdict:
    """Judge: the first thing that stands in the way, and the next step."""
    if not found.is_open:
        return Verdict(
            f"Visit {found.status}",
            "amber",
            f"This visit is {found.status}. A worklist offers visits that are booked, arrived, or "
            "whose images are arriving.",
            "If the examination is still to be done, book it again or take the last step back.",
        )
    if not found.heard:
        return _not_asked(ctx, found)
    newest = found.heard[0]
    if newest.now:
        return _left_out(ctx, found, newest)
    at = words.minute(ctx, newest.at)
    if newest.then == "":
        return Verdict(
            "It was answered",
            "green",
            f"{newest.calling_ae_title} asked at {at} and got this booking.",
            "Refresh the list at the device and look at the device's own filters and sorting: it "
            "may hide what it got.",
        )
    return Verdict(
        "Ask again",
        "blue",
        f"{newest.calling_ae_title} last asked at {at}. This booking was made or changed since; "
        "the same query would get it now.",
        "Refresh the worklist at the device.",
    )


def _not_asked(ctx: Context, found: Why) -> Verdict:
    station = _station(found)
    turned_away = [row for row in found.refused if row.calling_ae_title == station]
    if turned_away and found.last_contact is Ending.REFUSED:
        return verdict(turned_away[0], ctx.settings.ae_title)
    if found.last_contact_at is not None:
        at = words.minute(ctx, found.last_contact_at)
        return Verdict(
            "Not asked",
            "amber",
            f"{station} last called at {at} and has not asked for its worklist for a week.",
            "Refresh the worklist at the device. If nothing comes here, set the worklist server in "
            "its settings as below.",
        )
    todo = "Set the clinic in the device's settings as below, then let it verify (C-ECHO)."
    if found.refused:
        title = found.refused[0].calling_ae_title or "a device without AE title"
        todo = (
            f"{title} was turned away: if that is this device, its AE title is not {station}. "
            "Correct it at the device, or change the station of the room."
        )
    return Verdict(
        "Never called",
        "red",
        f"No device called “{station}” has called this clinic.",
        todo,
    )


def _left_out(ctx: Context, found: Why, heard: Heard) -> Verdict:
    at = words.minute(ctx, heard.at)
    what = worklist.reason(heard.now, heard.keys)
    text = f"{what}; {worklist.own(heard.now, heard.has, found.status)}."
    who = "" if heard.calling_ae_title == found.station_ae_title else f", {heard.calling_ae_title}"
    return Verdict("Left out", "amber", f"At {at}{who}: {text}", worklist.step_for(heard.now))


def _heard(ctx: Context, found: Why) -> list[Block]:
    if not found.heard:
        return []
    return [
        {"kind": "heading", "text": "Latest queries", "note": "one of each that asked alike"},
        *(_query(ctx, found, heard) for heard in found.heard),
    ]


def _query(ctx: Context, found: Why, heard: Heard) -> Block:
    then = _fate(found, heard, heard.then)
    now = _fate(found, heard, heard.now)
    return {
        "kind": "entry",
        "title": f"{heard.calling_ae_title} at {words.minute(ctx, heard.at)}",
        "blocks": [
            {
                "kind": "facts",
                "label": "What became of the booking",
                "wide": True,
                "items": [{"label": "Then and now", "value": now[0], "tone": now[1]}]
                if then == now
                else [
                    {"label": "Then", "value": then[0], "tone": then[1]},
                    {"label": "The same query now", "value": now[0], "tone": now[1]},
                ],
            },
            worklist.asked(heard.keys),
        ],
        "buttons": [
            {"action": "flight", "id": heard.flight_id, "label": "Show connection", "icon": "right"}
        ],
    }


def _fate(found: Why, heard: Heard, keyword: str | None) -> tuple[str, str]:
    if keyword is None:
        return "Not compared: the booking was not there yet, or not on that day.", ""
    if not keyword:
        return "Answered", "green"
    what = worklist.reason(keyword, heard.keys)
    if keyword != heard.now:  # what the booking had then is not known any more
        return f"{what}; the booking did not fit.", "amber"
    return f"{what}; {worklist.own(keyword, heard.has, found.status)}.", "amber"


def _refused(ctx: Context, found: Why) -> list[Block]:
    if not found.refused:
        return []
    return [
        {
            "kind": "fold",
            "key": "refused",
            "title": "Turned away during the last day",
            "chip": str(len(found.refused)),
            "tone": "red",
            "open": found.last_contact_at is None,
            "blocks": [
                {
                    "kind": "table",
                    "label": "Turned away",
                    "columns": ["When", "Device", "Why"],
                    "rows": [_refusal(ctx, row) for row in found.refused],
                }
            ],
        }
    ]


def _refusal(ctx: Context, row: FlightRow) -> list[str]:
    todo = REFUSALS.get(row.reason, "").format(ours=ctx.settings.ae_title)
    why = f"{ended(row)}. {todo}" if todo else ended(row)
    device = f"{row.calling_ae_title or 'No AE title'} from {row.address}"
    return [words.minute(ctx, row.started_at), device, why]


def _configure(ctx: Context, found: Why) -> list[Block]:
    return [
        {
            "kind": "fold",
            "key": "configure",
            "title": "What is set at the device",
            "open": not found.heard and found.is_open,
            "blocks": [where_to_call(ctx, found.station_ae_title)],
        }
    ]
