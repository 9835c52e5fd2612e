"""What the statement says of each service, as SCP and SCU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from clinic_panel.config import Settings
from clinic_panel.dimse.model import FAILURE_REASONS
from clinic_panel.imaging.identifiers import PENDING_UNSUPPORTED, Key
from clinic_panel.services import (
    commitments,
    confirming,
    query,
    query_keys,
    worklist,
    worklist_keys,
)
from clinic_panel.services.fetching import MOST_FOUND
from clinic_panel.services.performed import MOST_MESSAGES
from clinic_panel.services.performed_attributes import ATTRIBUTES, Attribute
from clinic_panel.services.performed_reading import MOST_OBJECTS, MOST_REQUESTS, MOST_SERIES
from clinic_panel.services.query_levels import MODELS
from listener.commitment import ACTION_STATUSES
from listener.conformance.created import created
from listener.conformance.markup import attribute, named, table, uid_table
from listener.contexts import storage_classes, transfer_syntaxes
from listener.conversation import PENDING_EVERY, STATUSES
from listener.mpps import STATUS_OF, WHEN
from listener.retrieve import LOST_IN_A_ROW
from listener.statuses import MEANINGS

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


@dataclass(frozen=True, slots=True)
class Offered:
    """One service of the overview: its SOP classes, and in which roles."""

    service: str
    sop_class_uids: tuple[str, ...]
    scp: str
    scu: str


def offered() -> tuple[Offered, ...]:
    """Return all services."""
    steps = (
        str(ModalityPerformedProcedureStep),
        str(ModalityPerformedProcedureStepRetrieve),
    )
    find = tuple(model.find_sop_class_uid for model in MODELS)
    fetch = tuple(uid for model in MODELS for uid in model.sop_class_uids[1:])
    return (
        Offered("Verification", (str(Verification),), "yes", "yes"),
        Offered("Storage", (), "yes, Annex A", "yes, what was stored"),
        Offered("Storage Commitment", (str(StorageCommitmentPushModel),), "yes", "yes"),
        Offered("Modality Worklist", (str(ModalityWorklistInformationFind),), "yes", "no"),
        Offered("Modality Performed Procedure Step", steps, "yes", "no"),
        Offered("Query", find, "yes", "yes, Study Root"),
        Offered("Retrieve", fetch, "yes", "yes, C-MOVE in Study Root"),
    )


def overview() -> str:
    """Return the table of services (PS3.2 A.1)."""
    rows = [
        (
            one.service,
            "<br>".join(f"{named(uid)} `{uid}`" for uid in one.sop_class_uids) or "all of Annex A",
            one.scu,
            one.scp,
        )
        for one in offered()
    ]
    return "\n\n".join(
        [
            "An archive and worklist node for an imaging clinic. It stores objects of every class "
            "as they come, answers worklist and archive queries, lets others fetch, and forwards "
            "what it holds.",
            table(("Service", "SOP classes", "SCU", "SCP"), rows),
            "Unless a service says otherwise, its presentation contexts are accepted in "
            + ", ".join(named(uid) for uid in _UNCOMPRESSED)
            + ".",
        ]
    )


def chapters() -> str:
    """Return what each service does (PS3.2 A.4.2)."""
    told = (
        ("Verification", _verification),
        ("Storage", _storage),
        ("Storage Commitment", _commitment),
        ("Modality Worklist", _worklist),
        ("Modality Performed Procedure Step", _performed),
        ("Query", _query),
        ("Retrieve", _retrieve),
        ("Objects made here", created),
    )
    return "\n\n".join(
        f"### 4.{number} {title}\n\n{chapter()}" for number, (title, chapter) in enumerate(told, 1)
    )


def _verification() -> str:
    return (
        "SCP: C-ECHO is answered with 0000 on any accepted association. SCU: an administrator "
        "calls a device to test it."
    )


def _storage() -> str:
    rows = [(one.code, one.meaning, one.answered_when, one.kept) for one in MEANINGS]
    return "\n\n".join(
        [
            "**Level of conformance as SCP: level 2 (full)** (PS3.4 B.4.1): all attributes, "
            "standard, extended and private, are kept. No attribute is coerced. Digital signatures "
            "are kept and not checked. Objects are kept without limit of time.",
            "**Durability.** Success (0000) is answered only when, in this order,\n\n"
            "1. all bytes were written to a temporary file in the archive's file system and the "
            "file was `fsync`ed,\n"
            "2. the file was renamed to its final name and its folder was `fsync`ed,\n"
            "3. the transaction with its index row, its audit entry and the work that follows was "
            "committed: on SQLite with `journal_mode=WAL` and `synchronous=FULL` (the log is "
            "`fsync`ed at each commit), on PostgreSQL with the server's `fsync` and "
            "`synchronous_commit` on, their defaults. Several associations may share one commit; "
            "none is answered before it.\n\n"
            "After a crash or power cut an acknowledged object is therefore there, as far as disks "
            "keep their word on `fsync`. At start, files of a crash between 2 and 3 get their row, "
            "and temporary files are removed. Sending an object again is harmless: the same data "
            "set is kept once and answered with Success.",
            "**Identity.** The data set (without file meta information) is compared by SHA-256. "
            "SOP Instance, Series and Study Instance UID must be there and be UIDs of digits and "
            "dots, at most 64 characters.",
            "**Statuses of C-STORE.** Refusals have an Error Comment (0000,0902), which never "
            "names a patient.",
            table(("Status", "Meaning", "When", "Object kept"), rows),
            "With `CLINIC_DUPLICATES=replace` an object takes the place of another only when it is "
            "of the same patient, study, series and SOP class, and no signed report rests on the "
            "study and no draft has marked the object. The earlier one stays on disk, known as "
            "superseded. The sender's AE title, address and time are in the audit trail.",
            "**As SCU**, the worker forwards each stored object to the peers marked for it, in the "
            "transfer syntax it is kept in: one context for each pair of class and syntax. A peer "
            "that does not answer, refuses the association or says A7xx is tried again until it "
            "takes the object; 0110 at most five times; other failures are final and shown. "
            "Success and the warnings B000, B006 and B007 count as delivered.",
        ]
    )


def _commitment() -> str:
    grace = Settings.param["commitment_grace_s"].default
    return "\n\n".join(
        [
            "SCP of the push model (PS3.4 J), well-known instance "
            f"`{StorageCommitmentPushModelInstance}`. N-ACTION is answered with Success once the "
            "request is on stable storage. The worker then looks at each instance: its SOP class, "
            "that its file is there, and that the SHA-256 of its bytes is still that of the index.",
            "The result goes back by N-EVENT-REPORT, type 1 (all) or 2 (failures exist), with the "
            "Transaction UID of the request: on a new association to the address the device is "
            "known by, on which we take the SCP role; or on the association that asked, for "
            f"devices that want it there or have no address, for {grace} s by default. It is "
            f"tried again for {commitments.REPORT_FOR.days} day until it is acknowledged, across "
            "restarts.",
            "**As SCU**, the worker asks peers marked for it to commit to what was forwarded, at "
            f"most {confirming.AT_ONCE} instances a request, under a new Transaction UID each. The "
            "result is taken on the same association or on a new one, on which the peer proposes "
            "the SCP role; one that stays away for "
            f"{confirming.ANSWER_WITHIN.seconds // 3600} h is asked for anew. What the peer does "
            "not hold is sent again.",
            table(
                ("Status of N-ACTION", "When"),
                [(f"{int(code):04X}", when) for code, when in ACTION_STATUSES.items()],
            ),
            table(
                ("Failure Reason (0008,1197)", "Meaning"),
                [(f"{code:04X}", meaning) for code, meaning in FAILURE_REASONS.items()],
            ),
        ]
    )


def _worklist() -> str:
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
            _find_statuses(worklist.LIMIT),
        ]
    )


def _performed() -> str:
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


def _query() -> str:
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
            _find_statuses(query.LIMIT),
            "**As SCU**, studies of another archive are searched (C-FIND, Study Root, STUDY "
            f"level, at most {MOST_FOUND} answers, then C-CANCEL) and sent here by it (C-MOVE, "
            "Study Root, to our own AE title). When a forwarding association broke with an object "
            "under way, the archive is asked for it (IMAGE level) before it is sent again.",
        ]
    )


def _retrieve() -> str:
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
            "**Move destinations** are the active peers of the administration page that have an "
            "address. Sub-operations name the requestor as Move Originator. There is one "
            "presentation context for each pair of SOP class and stored transfer syntax and one a "
            "class for Explicit and Implicit VR Little Endian, and as many associations one after "
            "the other as 128 contexts each allow. An association that breaks is asked for again, "
            f"and given up after {LOST_IN_A_ROW} in a row on which nothing was answered; the "
            "object at which it broke counts as failed.",
            "**C-GET** sends back on the association that asked, for those storage classes for "
            "which it took the SCP role (PS3.7 D.3.3.4).",
            "**Encoding.** Objects go out in the transfer syntax they are kept in, byte for byte. "
            "Where that is not accepted they are written anew as Explicit or Implicit VR Little "
            "Endian: values keep their bytes; RLE, JPEG, JPEG-LS, JPEG 2000 are decoded frame by "
            "frame (colour as RGB), and icons, padding and signatures behind the pixels are left "
            "out. What cannot be decoded, such as video and single bits, counts as failed.",
            f"Pending responses come after {PENDING_EVERY} sub-operations and each second. What "
            "was sent is audited, an entry a study.",
            table(
                ("Status of C-MOVE, C-GET", "When"),
                [(f"{code:04X}", when) for code, when in STATUSES.items()],
            ),
        ]
    )


def _find_statuses(most: int) -> str:
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


def storage_classes_annex() -> str:
    """Return the storage classes."""
    return (
        "PS3.4 B.5, and retired classes that older devices still send. A site adds further ones by "
        "setting.\n\n" + uid_table(storage_classes())
    )


def transfer_syntaxes_annex() -> str:
    """Return the transfer syntaxes in the order of choice."""
    return (
        "For every class of Annex A, in the order in which one is chosen among several offered in "
        "one context. None is decoded or changed by the listener. A site adds further ones by "
        "setting.\n\n" + uid_table(transfer_syntaxes())
    )
