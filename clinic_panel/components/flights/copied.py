"""The details of an association as text for a service engineer: nothing about patients."""

from __future__ import annotations

from collections.abc import Iterator

from clinic_panel.components.flights import words
from clinic_panel.components.flights.statuses import meaning
from clinic_panel.components.flights.verdicts import ended, verdict
from clinic_panel.context import Context
from clinic_panel.services.flight_view import FlightDetail, RequestRow


def text(ctx: Context, found: FlightDetail) -> str:
    """Return times, titles, contexts, statuses and the keys asked; no booking and no name."""
    return "\n".join(_lines(ctx, found))


def _lines(ctx: Context, found: FlightDetail) -> Iterator[str]:
    row = found.row
    began = row.started_at.astimezone(ctx.zone)
    yield f"Association of {began:%Y-%m-%d %H:%M:%S %z}"
    yield f"calling AE {row.calling_ae_title}, called AE {row.called_ae_title}, from {row.address}"
    if row.implementation:
        yield f"implementation {row.implementation}"
    yield f"{ended(row)}; {row.instances} objects, {row.received_bytes} bytes received"
    yield verdict(row, ctx.settings.ae_title).text
    yield ""
    for one in found.requests:
        yield from _request(ctx, one)
    if found.contexts:
        yield f"Presentation contexts ({row.contexts_accepted} of {row.contexts_offered} accepted)"
    for context in found.contexts:
        result = words.RESULTS.get(context["result"], "Refused")
        yield f"  {words.uid_name(context['abstract'])} ({context['abstract']}): {result}"
        yield f"    offered {', '.join(map(words.uid_name, context['offered']))}"
        if context["accepted"]:
            yield f"    accepted {words.uid_name(context['accepted'])}"


def _request(ctx: Context, one: RequestRow) -> Iterator[str]:
    name = words.uid_name(one.sop_class_uid) if one.sop_class_uid else ""
    yield f"{words.clock(ctx, one.at)} {one.service.value} {name}, {one.duration_ms} ms".strip()
    for status, count in sorted(one.statuses.items()):
        yield f"  {count} x 0x{status} {meaning(one.service, status).text}"
    if one.comment:
        yield f"  error comment: {one.comment}"
    for key in one.keys:
        if "value" in key or "how" in key:
            yield f"  {key['keyword']}: {words.asked(key)}"
    if one.considered:
        yield f"  {one.answers} answers of {one.considered} bookings compared"
    yield ""
