"""How an association went, in a word and a sentence, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from clinic_panel.models.flight import Ending
from clinic_panel.services.flight_view import FlightRow


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement: a chip, a sentence, and a next step or nothing."""

    label: str
    tone: str
    text: str
    todo: str = ""


_ALLOW = (
    "If it is a device of yours, set its own AE title to that of its room, or let an "
    "administrator allow the title under Admin → Devices."
)
# By the reasons that the listener gives.
REFUSALS = {
    "unknown calling AE title": _ALLOW,
    "wrong called AE title": "Set the called (remote) AE title at the device to {ours}.",
    "database not available": "The clinic's database did not answer: look at the server.",
    "too many associations": "The device opens many connections at once: let it reuse one.",
    "not acceptable to the protocol": "Tell the service engineer: it speaks no DICOM known here.",
}
_ENDINGS: dict[Ending, Verdict] = {
    Ending.ABORTED_BY_PEER: Verdict(
        "Broken off",
        "amber",
        "The device broke the connection off.",
        "See why in the device's own log; what was answered before stands.",
    ),
    Ending.ABORTED: Verdict(
        "Broken off here",
        "amber",
        "The clinic broke the connection off",
        "If it happens again, send these details to the device's service engineer.",
    ),
    Ending.LOST: Verdict(
        "Connection lost",
        "amber",
        "The connection ended without a goodbye",
        "Look at the network, the cable and whether the device was switched off.",
    ),
    Ending.TIMED_OUT: Verdict(
        "Went silent",
        "amber",
        "The device said nothing for too long and was disconnected.",
        "Look at the network between both; the device may send again.",
    ),
    Ending.UNASKED: Verdict(
        "Nothing asked",
        "amber",
        "Something opened the port and asked for nothing: a monitor, a port scan, or a device "
        "that has TLS set differently from the clinic.",
        "If it is a device, compare its TLS setting with the clinic's.",
    ),
}


def verdict(row: FlightRow, ours: str) -> Verdict:
    """Judge an association.

    Parameters
    ----------
    ours
        The AE title of this clinic.
    """
    if row.ending is Ending.REFUSED:
        return _refused(row, ours)
    if row.contexts_offered and not row.contexts_accepted:
        return Verdict(
            "Nothing accepted",
            "red",
            "None of the services that the device asked for is offered here.",
            "See below what it offered, and switch on what the clinic takes.",
        )
    if row.failures:
        total = sum(row.requests.values())
        return Verdict(
            f"{row.failures} failed" if total > 1 else "Failed",
            "red",
            f"{row.failures} of {total} requests failed." if total > 1 else "The request failed.",
            "See the status of each below.",
        )
    if row.ending is Ending.OPEN:
        return Verdict("Connected", "blue", "The device is connected now.")
    if row.ending is not Ending.RELEASED:
        known = _ENDINGS[row.ending]
        if known.text.endswith("."):
            return known
        why = f": {row.reason}." if row.reason else "."
        return Verdict(known.label, known.tone, known.text + why, known.todo)
    return _in_order(row)


def _refused(row: FlightRow, ours: str) -> Verdict:
    said = {
        "unknown calling AE title": f"The clinic does not know the AE title “{_title(row)}”.",
        "wrong called AE title": f"It called “{row.called_ae_title}”; this clinic is “{ours}”.",
    }
    text = said.get(row.reason, f"The clinic refused the connection: {row.reason}.")
    return Verdict("Refused", "red", text, REFUSALS.get(row.reason, "").format(ours=ours))


def _title(row: FlightRow) -> str:
    return row.calling_ae_title or "(none)"


def _in_order(row: FlightRow) -> Verdict:
    if not row.requests:
        return Verdict("Nothing asked", "outline", "The device connected and asked for nothing.")
    if row.worklist_answers == 0:
        return Verdict(
            "Empty worklist",
            "amber",
            "The device asked for its worklist and no booking fitted.",
            "See below what it asked for, and whether there was a booking on those days.",
        )
    return Verdict("In order", "green", "Everything was answered and ended in order.")


def ended(row: FlightRow) -> str:
    """Return in a few words how it ended."""
    texts = {
        Ending.OPEN: "Still open",
        Ending.RELEASED: "Ended in order",
        Ending.UNASKED: "Nothing was asked",
    }
    ending = row.ending.value
    how = f"{ending[0].upper()}{ending[1:]}"
    return texts.get(row.ending) or ": ".join(filter(None, (how, row.reason)))
