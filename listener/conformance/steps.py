"""What the statement says of steps: scheduled, in the worklist, and performed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pynetdicom.sop_class import ModalityWorklistInformationFind

from clinic_panel.imaging.identifiers import PENDING_UNSUPPORTED, Key
from clinic_panel.services import worklist, worklist_keys
from clinic_panel.services.performed import MOST_MESSAGES
from clinic_panel.services.performed_attributes import ATTRIBUTES, Attribute
from clinic_panel.services.performed_reading import MOST_OBJECTS, MOST_REQUESTS, MOST_SERIES
from listener.conformance.archive import find_statuses
from listener.conformance.markup import attribute, named, table
from listener.mpps import STATUS_OF, WHEN


def scheduled_steps() -> str:
    """Return the chapter of the worklist."""

    def rows(keys: tuple[Key[worklist_keys.ScheduledStep], ...]) -> list[tuple[str, str, str, str]]:
        return [
            (
                attribute(key.keyword),
                key.vr,
                key.return_type,
                "yes" if key.is_matched else "no, returned empty",
            )
            for key in keys
        ]

    heads = ("Attribute", "VR", "Return type", "Matched")
    return "\n\n".join(
        [
            "SCP of " + named(ModalityWorklistInformationFind) + ". One answer for each scheduled "
            "procedure step; steps come from bookings that are neither over nor called off. Every "
            "key of the tables is answered when asked for; others are answered empty, with "
            f"pending status {PENDING_UNSUPPORTED:04X}.",
            "Matching: single value, list of UIDs, wildcard (`*`, `?`), range for dates and times "
            "(start date and time together as one moment), universal, sequence. Names match "
            "without regard to case and accents, in every component group.",
            "**Scheduled Procedure Step Sequence (0040,0100)**, one item:",
            table(heads, rows(worklist_keys.STEP_KEYS)),
            "**Other levels:**",
            table(heads, rows(worklist_keys.KEYS)),
            find_statuses(worklist.LIMIT),
        ]
    )


def performed_steps() -> str:
    """Return the chapter of performed procedure steps."""

    def rows(attributes: Iterable[Attribute], depth: int = 0) -> Iterator[tuple[str, ...]]:
        for one in attributes:
            name = ">" * depth + attribute(one.keyword)
            yield name, one.create, one.update or "not allowed", one.final
            yield from rows(one.items, depth + 1)

    statuses = [
        (f"{code:04X}", WHEN[reason])
        for reason, code in sorted(STATUS_OF.items(), key=lambda one: one[1])
    ]
    return "\n\n".join(
        [
            "SCP of N-CREATE and N-SET (PS3.4 F.7). A step is kept, with the bytes of each message "
            "as received, and its bookings are moved on before the answer leaves. It is joined to "
            "the bookings that its Scheduled Step Attributes Sequence names, by Study Instance UID "
            "and Scheduled Procedure Step ID, else by that ID and accession number; never when it "
            "names another patient. A step that answers no booking is kept all the same; the "
            "sequence may be empty then. One step may answer several bookings, and several one.",
            "A booking shows *In progress*, *Completed* or *Discontinued* with the reason, and how "
            "many of the objects announced in the Performed Series Sequence are not here. With all "
            "of them it can be read at once. Its scheduled step is STARTED while in progress and "
            "leaves the worklist when completed. Where a modality never reports the end, a person "
            "can end the examination for the booking; the step stays in progress, a later N-SET is "
            "accepted and moves the booking only where images came. Messages that come late move "
            "back no booking that is to be read or reported.",
            "Types required of the attributes; those of type 2 that are left out are taken as "
            "empty. Further attributes are kept.",
            table(("Attribute", "N-CREATE", "N-SET", "Final state"), rows(ATTRIBUTES)),
            f"At most {MOST_REQUESTS} scheduled steps, {MOST_SERIES} series, {MOST_OBJECTS} "
            f"objects and {MOST_MESSAGES} messages are kept of one step. An N-CREATE without SOP "
            "Instance UID is given one. Refusals have an Error Comment that names the attribute.",
            table(("Status of N-CREATE and N-SET", "When"), statuses),
            "N-GET (the Retrieve class) returns the attributes asked for, or all, as the messages "
            "left them, in UTF-8: 0000; 0001 when some of those asked for were never sent; 0112 "
            "for an unknown instance. N-EVENT-REPORT is not offered.",
        ]
    )
