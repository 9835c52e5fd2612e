"""What we offer to an association: SOP classes and transfer syntaxes (PS3.4 B.5, PS3.5 A)."""

from collections.abc import Iterable

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UID_dictionary,
)
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    Verification,
    register_uid,
    uid_to_service_class,
)

from clinic_panel.config import Settings
from clinic_panel.services.query_levels import MODELS

_NO_ENCODING_OF_IMAGES = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2", "1.2.840.10008.1.20"}
_COMPOSITE = "1.2.840.10008.5.1.4.1.1."
# Retired, and from another root: hardcopy images, and the first RT instructions.
_ELSEWHERE = {"1.2.840.10008.5.1.1.29", "1.2.840.10008.5.1.1.30", "1.2.840.10008.5.1.4.34.1"}


def transfer_syntaxes(further: Iterable[str] = ()) -> list[str]:
    """Return every transfer syntax, retired ones too, in the order we choose among those offered.

    Little endian without compression first: a peer that offers several in one context can encode
    it, and everyone can read it. Deflated, big endian and the ``further`` ones of a site last.
    """
    plain = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    last = [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian]
    others = [
        UID(uid)
        for uid, entry in UID_dictionary.items()
        if entry[1] == "Transfer Syntax"
        and uid not in _NO_ENCODING_OF_IMAGES
        and uid not in {*plain, *last}
    ]
    known = [*plain, *others, *last]
    return [*known, *(uid for uid in map(UID, dict.fromkeys(further)) if uid not in known)]


def storage_classes(further: Iterable[str] = ()) -> list[str]:
    """Return the storage classes: current, retired ones that old devices still send, ``further``.

    Those the library does not know become known to it as storage.
    """
    current = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    retired = [
        uid
        for uid, entry in UID_dictionary.items()
        if (uid.startswith(_COMPOSITE) or uid in _ELSEWHERE)
        and entry[1] == "SOP Class"
        and entry[3] == "Retired"
        and entry[4]  # one was retired before it had a name
    ]
    named = {uid: UID_dictionary[uid][4] for uid in retired}
    named |= {uid: "Further" + uid.replace(".", "_") for uid in further if uid not in named}
    for uid, name in named.items():
        if uid_to_service_class(uid) is not StorageServiceClass:
            register_uid(uid, name, StorageServiceClass)
    return list(dict.fromkeys([*current, *named]))


def supported_contexts(settings: Settings) -> list[PresentationContext]:
    """Return what the listener accepts: echo, queries, steps, retrieve, storage, commitment."""
    plain = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
    classes = storage_classes(settings.uids("private_storage_classes"))
    syntaxes = transfer_syntaxes(settings.uids("private_transfer_syntaxes"))
    # The syntaxes are checked once: for each of 200 classes anew it would take half a second.
    storage = copied([build_context(classes[0], syntaxes)] * len(classes))
    for context, uid in zip(storage, classes, strict=True):
        context.abstract_syntax = uid
        # Whoever fetches by C-GET stores as SCP, if it says so (PS3.7 D.3.3.4).
        context.scu_role = context.scp_role = True
    # Those who ask us are SCU; those whom we asked come back as SCP, to report (PS3.4 J.3.3).
    commitment = build_context(StorageCommitmentPushModel, plain)
    commitment.scu_role = commitment.scp_role = True
    return [
        build_context(Verification, plain),
        build_context(ModalityWorklistInformationFind, plain),
        build_context(ModalityPerformedProcedureStep, plain),
        build_context(ModalityPerformedProcedureStepRetrieve, plain),
        *(build_context(uid, plain) for model in MODELS for uid in model.sop_class_uids),
        commitment,
        *storage,
    ]


def copied(contexts: list[PresentationContext]) -> list[PresentationContext]:
    """Copy contexts for one association; a deep copy of all would take 50 ms each time."""
    copies = []
    for context in contexts:
        copy = object.__new__(type(context))
        copy.__dict__ = dict(context.__dict__)
        copy._transfer_syntax = list(context._transfer_syntax)
        copies.append(copy)
    return copies
