"""Requests that do not fit their presentation context, or lack what they must name (PS3.7 9, 10).

The library takes the service of a request from the SOP class it names, whatever was negotiated: an
N-CREATE that names an image would be answered as a C-STORE. What lacks an element it passes in
silence, and the peer waits for ever. Such requests are answered here.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse_primitives import (
    C_ECHO,
    C_FIND,
    C_GET,
    C_MOVE,
    C_STORE,
    N_ACTION,
    N_CREATE,
    N_EVENT_REPORT,
    N_GET,
    N_SET,
)
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    Verification,
)

from clinic_panel.services.query_levels import MODELS
from listener.statuses import CLASS_NOT_SUPPORTED, Status

NO_SUCH_CLASS = Status(0x0118, "The context was negotiated for another SOP class.")
UNRECOGNISED = Status(0x0211, "This SOP class has no such operation.")
INCOMPLETE = Status(0x0212, "The request lacks what it must name.")
WHEN: dict[int, str] = {  # for the conformance statement
    NO_SUCH_CLASS: "N-service: it names another SOP class than that of its presentation context",
    CLASS_NOT_SUPPORTED: "C-service: the same, or its operation is none of that SOP class; "
    "C-FIND, C-MOVE, C-GET: it names none",
    UNRECOGNISED: "N-service: its operation is none of the SOP class",
    INCOMPLETE: "C-ECHO and N-services: it lacks its SOP class, or an instance, action or event "
    "that it must name",
}
_COMPOSITE = (C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE)
_OPERATIONS: dict[str, tuple[type, ...]] = {  # of all other contexts: storage
    str(Verification): (C_ECHO,),
    str(ModalityWorklistInformationFind): (C_FIND,),
    str(ModalityPerformedProcedureStep): (N_CREATE, N_SET),
    str(ModalityPerformedProcedureStepRetrieve): (N_GET,),
    str(StorageCommitmentPushModel): (N_ACTION, N_EVENT_REPORT),
} | {
    uid: (operation,)
    for model in MODELS
    for uid, operation in zip(model.sop_class_uids, (C_FIND, C_MOVE, C_GET), strict=True)
}
# What is retrieved is an instance of the class that made it: some name that one (PS3.4 F.8).
_ALSO_NAMED = {str(ModalityPerformedProcedureStepRetrieve): str(ModalityPerformedProcedureStep)}
_NEEDED = {
    N_SET: ("RequestedSOPInstanceUID",),
    N_GET: ("RequestedSOPInstanceUID",),
    N_ACTION: ("RequestedSOPInstanceUID", "ActionTypeID"),
    N_EVENT_REPORT: ("AffectedSOPInstanceUID", "EventTypeID"),
}
_AE_TITLE_LENGTH = 16


def refusal(request: Any, context: PresentationContext) -> Status | None:
    """Return what is answered to a request that does not fit its context; None: it does."""
    offered = str(context.abstract_syntax)
    is_composite = isinstance(request, _COMPOSITE)
    if not isinstance(request, _OPERATIONS.get(offered, (C_STORE,))):
        return CLASS_NOT_SUPPORTED if is_composite else UNRECOGNISED
    named = _class_of(request)
    if named is None and not isinstance(request, (C_FIND, C_GET, C_MOVE)):
        return INCOMPLETE
    if named not in (offered, _ALSO_NAMED.get(offered)):
        return CLASS_NOT_SUPPORTED if is_composite else NO_SUCH_CLASS
    if any(getattr(request, needed) is None for needed in _NEEDED.get(type(request), ())):
        return INCOMPLETE
    return None


def answer(request: Any, status: Status) -> Any:
    """Return the response that refuses a request."""
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = _class_of(request)
    if hasattr(response, "AffectedSOPInstanceUID"):
        response.AffectedSOPInstanceUID = getattr(
            request, "RequestedSOPInstanceUID", None
        ) or getattr(request, "AffectedSOPInstanceUID", None)
    response.Status, response.ErrorComment = int(status), status.comment
    return response


def tidy(event: Event) -> None:
    """Leave out of a C-MOVE a destination that is no AE title: the library would abort over it.

    Without one it is answered as unknown. Some devices pad with zeros in place of blanks.
    """
    command = event.message.command_set
    if "MoveDestination" not in command:
        return
    title = str(command.MoveDestination or "").strip(" \0")
    if not title.isascii() or not title.isprintable() or len(title) > _AE_TITLE_LENGTH:
        title = ""
    if title:
        command.MoveDestination = title
    else:
        del command.MoveDestination


def _class_of(request: Any) -> str | None:
    named = getattr(request, "AffectedSOPClassUID", None)
    return named or getattr(request, "RequestedSOPClassUID", None)
