"""What the statement says of the archive that is asked: query and retrieve."""

from __future__ import annotations

from clinic_panel.services import availability, query, query_keys
from clinic_panel.services.fetching import MOST_FOUND
from clinic_panel.services.query_levels import MODELS
from listener.conformance.markup import attribute, table
from listener.conversation import PENDING_EVERY, STATUSES
from listener.retrieve import LOST_IN_A_ROW


def search() -> str:
    """Return the chapter of C-FIND."""
    keys = [(key.level, attribute(key.keyword), key.vr, key.kind) for key in query_keys.KEYS]
    levels = [
        (model.name, f"`{model.find_sop_class_uid}`", ", ".join(model.levels)) for model in MODELS
    ]
    return "\n\n".join(
        [
            "SCP of C-FIND:",
            table(("Model", "SOP class", "Levels"), levels),
            "Hierarchical by default; relational queries and ranges of date and time as one when "
            "agreed by extended negotiation (PS3.4 C.5.1.1). Fuzzy matching of names and time zone "
            "adjustment are not offered. U unique, R required, O optional keys; in Study Root the "
            "keys of the patient belong to the STUDY level. Query/Retrieve Level and Retrieve AE "
            "Title are in every answer.",
            table(("Level", "Attribute", "VR", "Key"), keys),
            find_statuses(query.LIMIT),
            "**As SCU**, studies of another archive are searched (C-FIND, Study Root, STUDY "
            f"level, at most {MOST_FOUND} answers, then C-CANCEL) and sent here by it (C-MOVE, "
            "Study Root, to our own AE title). When a forwarding association broke with an object "
            "under way, the archive is asked for it (IMAGE level) before it is sent again.",
        ]
    )


def retrieval() -> str:
    """Return the chapter of C-MOVE and C-GET."""
    rows = [
        (model.name, f"`{model.move_sop_class_uid}`", f"`{model.get_sop_class_uid}`")
        for model in MODELS
    ]
    return "\n\n".join(
        [
            "SCP of C-MOVE and C-GET at every level of their models:",
            table(("Model", "C-MOVE", "C-GET"), rows),
            "The unique key of each upper level is required, one value each, unless relational "
            "retrieval was agreed by extended negotiation (PS3.4 C.4.2.2.2). At the level itself "
            "one patient, or a list of UIDs. With Patient ID, Issuer of Patient ID narrows when it "
            "is given; other keys are ignored. Nothing that matches is Success without "
            "sub-operations. Priority is passed on to the sub-operations and has no other effect.",
            "**Move destinations** are the stations of rooms and the peers of the administration "
            "page, where they are active and have an address. Sub-operations name the requestor as "
            "Move Originator. There is one presentation context for each pair of SOP class and "
            "stored transfer syntax and one a class for Explicit and Implicit VR Little Endian, "
            "and as many associations one after the other as 128 contexts each allow. An "
            "association that breaks is asked for again, and given up after "
            f"{LOST_IN_A_ROW} in a row on which nothing was answered; the object at which it broke "
            "counts as failed.",
            "**C-GET** sends back on the association that asked, for those storage classes for "
            "which it took the SCP role (PS3.7 D.3.3.4).",
            "**Encoding.** Objects go out in the transfer syntax they are kept in, byte for byte. "
            "Where that is not accepted they are written anew as Explicit or Implicit VR Little "
            "Endian: values keep their bytes; RLE, JPEG, JPEG-LS and JPEG 2000, also in its "
            "high-throughput form, are decoded frame by frame (colour as RGB), and icons, padding "
            "and signatures behind the pixels are left out. What cannot be decoded, such as video "
            "and single bits, counts as failed.",
            f"Pending responses come after {PENDING_EVERY} sub-operations and each second. What "
            "was sent is audited, an entry a study.",
            table(
                ("Status of C-MOVE, C-GET", "When"),
                [(f"{code:04X}", when) for code, when in STATUSES.items()],
            ),
        ]
    )


def find_statuses(most: int) -> str:
    """Return the statuses of C-FIND, with the most that is answered."""
    return table(
        ("Status of C-FIND", "When"),
        [
            ("FF00, FF01", "An answer; FF01 when a key is not supported"),
            ("0000", "These were all"),
            (
                "A700",
                f"More than {most:,} match, which are answered before it; or the database does "
                "not answer, or the search cannot be audited",
            ),
            ("0122", "The SOP class is not that of the presentation context"),
            ("A900", "The identifier does not fit the information model"),
            ("C001", "An error that is ours"),
            ("FE00", "Cancelled by C-CANCEL"),
        ],
    )


def notification() -> str:
    """Return the chapter of Instance Availability Notification."""
    return (
        "SCU (PS3.4 R): the worker tells peers marked for it (N-CREATE) of each study once no "
        f"object of it has come for {availability.AT_REST.seconds} s, and again of the whole study "
        "when more has come. A notification has an instance UID of its own, and names the study, "
        "its Modality Performed Procedure Steps, and each object with Instance Availability "
        "ONLINE and our AE title as Retrieve AE Title; no patient. Success, warnings and 0111 "
        "count as told; a peer that does not answer, or says 0213, is told later; what it refuses "
        f"otherwise is tried with further notifications, {availability.MOST_ATTEMPTS} times in "
        "all, and shown to the administrator."
    )
