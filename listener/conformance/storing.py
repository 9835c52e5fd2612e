"""What the statement says of storing: C-STORE, Storage Commitment, classes and syntaxes."""

from __future__ import annotations

from pynetdicom.sop_class import StorageCommitmentPushModelInstance

from clinic_panel.config import Settings
from clinic_panel.dimse.model import FAILURE_REASONS
from clinic_panel.services import commitments, confirming
from listener.commitment import ACTION_STATUSES
from listener.conformance.markup import table, uid_table
from listener.contexts import storage_classes, transfer_syntaxes
from listener.statuses import MEANINGS


def storage() -> str:
    """Return the chapter of C-STORE."""
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


def commitment() -> str:
    """Return the chapter of Storage Commitment."""
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


def storage_classes_annex() -> str:
    """Return the storage classes."""
    return (
        "PS3.4 B.5, and retired classes that older devices still send. A site adds further ones by "
        "setting. Objects that belong to no patient (PS3.4 GG: hanging protocols, colour palettes, "
        "implant templates, defined procedure protocols, inventories) are not stored.\n\n"
        + uid_table(storage_classes())
    )


def transfer_syntaxes_annex() -> str:
    """Return the transfer syntaxes in the order of choice."""
    return (
        "For every class of Annex A, in the order in which one is chosen among several offered in "
        "one context. None is decoded or changed by the listener. A site adds further ones by "
        "setting.\n\n" + uid_table(transfer_syntaxes())
    )
