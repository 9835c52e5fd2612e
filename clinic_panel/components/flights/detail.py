"""One association for the sheet: judgement, requests, contexts, connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinic_panel.components.flights import copied, words, worklist
from clinic_panel.components.flights.statuses import meaning
from clinic_panel.components.flights.table import asked as asked_for
from clinic_panel.components.flights.verdicts import Verdict, ended, verdict
from clinic_panel.context import Context
from clinic_panel.models.flight import Service
from clinic_panel.services.flight_replay import Replay
from clinic_panel.services.flight_view import FlightDetail, FlightRow, RequestRow

type Block = dict[str, Any]


def content(ctx: Context, found: FlightDetail, replays: Mapping[int, Replay | str]) -> Block:
    """Return what the sheet shows of an association.

    Parameters
    ----------
    replays
        By the id of the request: what it would find now, or why that cannot be told.
    """
    row = found.row
    judged = _judged(ctx, found)
    requests = [_request(ctx, one, replays.get(one.id)) for one in found.requests]
    more = f"{found.more_requests} earlier requests are not shown." if found.more_requests else ""
    return {
        "key": f"flight-{row.id}",
        "title": row.calling_ae_title or "No AE title",
        "note": f"{words.minute(ctx, row.started_at)} · from {row.address} · {asked_for(row)}",
        "chip": judged.label,
        "tone": judged.tone,
        "live": row.ended_at is None,
        "verdict": {"tone": judged.tone, "text": judged.text, "todo": judged.todo},
        "blocks": [
            *([{"kind": "heading", "text": "Requests", "note": more}] if requests else []),
            *requests,
            *_contexts(found),
            _connection(ctx, row),
        ],
        "copy": copied.text(ctx, found),
    }


def _judged(ctx: Context, found: FlightDetail) -> Verdict:
    """Of an empty worklist, say at once which key emptied it."""
    judged = verdict(found.row, ctx.settings.ae_title)
    if not found.row.is_in_trouble and found.row.worklist_answers == 0:
        for one in reversed(found.requests):
            if why := worklist.main_reason(one):
                return Verdict(judged.label, judged.tone, f"{judged.text} {why[0]}", why[1])
    return judged


def _request(ctx: Context, one: RequestRow, replay: Replay | str | None) -> Block:
    blocks: list[Block] = [_statuses(one)]
    if one.keys:
        blocks.append(worklist.asked(one.keys))
    if one.service is Service.WORKLIST:
        blocks += _worklist(ctx, one, replay)
    return {
        "kind": "entry",
        "title": words.LONG[one.service],
        "note": " · ".join(filter(None, (words.clock(ctx, one.at), _figures(one)))),
        "blocks": blocks,
        "buttons": (
            [{"action": "replay", "id": one.id, "label": "Replay now", "icon": "refresh"}]
            if one.service is Service.WORKLIST and one.keys
            else []
        ),
    }


def _figures(one: RequestRow) -> str:
    """How many, how long, how much, and of what kind."""
    count = sum(one.statuses.values())
    took = words.lasted(one.duration_ms / 1000)
    obvious = one.service in (Service.WORKLIST, Service.ECHO) or not one.sop_class_uid
    name = "" if obvious else words.uid_name(one.sop_class_uid)
    answers = words.plural(one.answers, "answer") if one.service in ASKING else ""
    if one.service in RETRIEVING:
        answers = f"{words.plural(one.answers, 'object')} delivered"
    amount = words.size(one.received_bytes) if one.service is Service.STORE else ""
    times = f"{count:,} times" if count > 1 else ""
    return " · ".join(filter(None, (name, times, answers, amount, took)))


ASKING = (Service.WORKLIST, Service.FIND)
RETRIEVING = (Service.MOVE, Service.GET)


def _statuses(one: RequestRow) -> Block:
    """Each final status with how often, what it means and what to do."""
    items = []
    for status, count in sorted(one.statuses.items()):
        said = meaning(one.service, status)
        items.append(
            {
                "chip": f"{said.text} × {count:,}" if count > 1 else said.text,
                "tone": said.tone,
                "code": f"0x{status}",
                "text": " ".join(filter(None, (said.todo,))),
            }
        )
    comment = f"The clinic added: {one.comment}" if one.comment else ""
    return {"kind": "statuses", "items": items, "note": comment}


def _worklist(ctx: Context, one: RequestRow, replay: Replay | str | None) -> list[Block]:
    blocks: list[Block] = []
    if isinstance(replay, str):
        blocks.append({"kind": "text", "tone": "red", "text": replay})
    elif replay is not None:
        blocks.append(_replay(ctx, one, replay))
    if one.considered:
        text = f"{words.plural(one.considered, 'booking')} compared at the time of the query:"
        blocks.append({"kind": "caption", "text": text})
        blocks += worklist.groups(ctx, one.candidates, one.keys)
    elif one.keys:
        blocks.append({"kind": "text", "text": "There was no booking in the days asked for."})
    return blocks


def _replay(ctx: Context, one: RequestRow, replay: Replay) -> Block:
    answers = f"would be answered with {words.plural(replay.answers, 'booking')}"
    left_out = ", ".join(words.noun(keyword) for keyword in replay.left_out)
    caveat = f" Not compared, as the value was not kept: {left_out}." if left_out else ""
    tone = "green" if replay.answers else "amber"
    return {
        "kind": "panel",
        "key": f"replay-{one.id}",
        "tone": tone,
        "title": f"Replayed at {words.clock(ctx, replay.at)}: {answers}.{caveat}",
        "blocks": worklist.groups(ctx, replay.candidates, one.keys),
    }


def _contexts(found: FlightDetail) -> list[Block]:
    if not found.contexts:
        return []
    # What was refused first: that is what somebody looks for.
    ordered = sorted(found.contexts, key=lambda one: one["result"] == 0)
    row = found.row
    return [
        {
            "kind": "fold",
            "key": "contexts",
            "title": "Services offered",
            "chip": f"{row.contexts_accepted} of {row.contexts_offered} accepted",
            "tone": "green" if row.contexts_accepted == row.contexts_offered else "amber",
            "open": not row.contexts_accepted,
            "blocks": [
                {
                    "kind": "table",
                    "label": "Services offered by the device",
                    "columns": ["Service", "Transfer syntax", "Result"],
                    "rows": [_context(one) for one in ordered],
                }
            ],
        }
    ]


def _context(one: dict[str, Any]) -> list[Any]:
    accepted = one["result"] == 0
    syntaxes = [one["accepted"]] if accepted else one["offered"]
    result = words.RESULTS.get(one["result"], "Refused")
    return [
        {"text": words.uid_name(one["abstract"]), "title": one["abstract"]},
        {"text": ", ".join(map(words.uid_name, syntaxes)), "title": ", ".join(one["offered"])},
        {"text": result, "tone": "green" if accepted else "red"},
    ]


def _connection(ctx: Context, row: FlightRow) -> Block:
    seconds = ((row.ended_at or ctx.clock()) - row.started_at).total_seconds()
    items = {
        "Device (calling AE)": row.calling_ae_title or "none",
        "Called AE": row.called_ae_title,
        "Address": row.address,
        "Software": row.implementation,
        "Began": words.clock(ctx, row.started_at),
        "Lasted": words.lasted(seconds) + ("" if row.ended_at else " so far"),
        "Received": f"{words.plural(row.instances, 'object')}, {words.size(row.received_bytes)}",
        "How it ended": ended(row),
    }
    return {
        "kind": "fold",
        "key": "connection",
        "title": "Connection",
        "open": not row.requests,
        "blocks": [
            {
                "kind": "facts",
                "label": "Connection",
                "items": [{"label": label, "value": value} for label, value in items.items()],
            }
        ],
    }
