"""The services of the statement, as SCP and SCU: their overview and the order of chapters."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    Verification,
)

from clinic_panel.dimse import echo, find, move
from clinic_panel.dimse.association import ANSWER_S, CONNECT_S, PLAIN
from clinic_panel.services.query_levels import MODELS
from listener.conformance import archive, steps, storing
from listener.conformance.created import created
from listener.conformance.markup import named, table

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
    performed = (
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
        Offered("Modality Performed Procedure Step", performed, "yes", "no"),
        Offered("Query", find, "yes", "yes, Study Root"),
        Offered("Retrieve", fetch, "yes", "yes, C-MOVE in Study Root"),
        Offered(
            "Instance Availability Notification",
            (str(InstanceAvailabilityNotification),),
            "no",
            "yes",
        ),
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


def initiation() -> str:
    """Return the associations that we ask for (PS3.2 A.4.2, association initiation)."""
    plain = ", ".join(named(uid) for uid in PLAIN)
    stored = "that of the object"
    rows = [
        ("A device is tested", named(Verification), plain, "SCU"),
        ("Objects are forwarded", "those of the objects", stored, "SCU"),
        ("Sub-operations of C-MOVE", "those of the objects", f"{stored}; {plain}", "SCU"),
        (
            "Another archive is searched, or asked for an object",
            named(find.STUDY_ROOT),
            plain,
            "SCU",
        ),
        ("A study is fetched", named(move.MODEL), plain, "SCU"),
        ("Forwarded objects are to be confirmed", named(StorageCommitmentPushModel), plain, "SCU"),
        (
            "A commitment request is answered",
            named(StorageCommitmentPushModel),
            plain,
            "SCP, by role selection",
        ),
        ("A study is here", named(InstanceAvailabilityNotification), plain, "SCU"),
    ]
    return "\n\n".join(
        [
            f"Connection and association are given up after {CONNECT_S:g} s, a message without an "
            f"answer after {ANSWER_S:g} s (C-MOVE {move.ANSWER_S:g}, C-ECHO {echo.ANSWER_S:g} s). "
            "An association is released when its work is done.",
            table(("Activity", "SOP classes", "Transfer syntaxes proposed", "Our role"), rows),
        ]
    )


def chapters() -> str:
    """Return what each service does (PS3.2 A.4.2)."""
    told = (
        ("Verification", _verification),
        ("Storage", storing.storage),
        ("Storage Commitment", storing.commitment),
        ("Modality Worklist", steps.scheduled_steps),
        ("Modality Performed Procedure Step", steps.performed_steps),
        ("Query", archive.search),
        ("Retrieve", archive.retrieval),
        ("Instance Availability Notification", archive.notification),
        ("Objects made here", created),
    )
    return "\n\n".join(
        f"### 4.{number} {title}\n\n{chapter()}" for number, (title, chapter) in enumerate(told, 1)
    )


def _verification() -> str:
    return "SCP: C-ECHO is answered with 0000. SCU: an administrator calls a device to test it."
