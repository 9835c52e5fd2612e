"""The modality's side: verification, worklist, performed step, storage and its commitment."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    generate_uid,
)
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    UltrasoundMultiFrameImageStorage,
    Verification,
)

from clinic_panel.checkpoint import mended
from clinic_panel.dimse import commitment
from clinic_panel.dimse.model import Reference, Request
from clinic_panel.errors import ClinicError, PeerUnavailable
from clinic_panel.imaging.phantom import CT_SLICES
from clinic_panel.simulator import performed
from clinic_panel.simulator.objects import Booking, images_for
from clinic_panel.simulator.worklist import read_item, worklist_keys

TIMEOUT_S = 30.0
POLL_S = 10.0  # between two looks at the worklist while nobody has arrived
_PENDING = (0xFF00, 0xFF01)
_NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_STEPS = [(ModalityPerformedProcedureStep, _NATIVE)]
_OFFERED = (
    (CTImageStorage, _NATIVE),
    (MRImageStorage, _NATIVE),
    (DigitalXRayImageStorageForPresentation, _NATIVE),
    (UltrasoundMultiFrameImageStorage, _NATIVE),
    (UltrasoundMultiFrameImageStorage, [JPEGBaseline8Bit]),
    (SecondaryCaptureImageStorage, [JPEGBaseline8Bit]),
    (StorageCommitmentPushModel, _NATIVE),
)

type Tell = Callable[[str], None]
AT_ONCE: Tell = partial(print, flush=True)  # whoever reads it through a pipe waits for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """Which devices are played, against whom, and how fast."""

    host: str = "127.0.0.1"
    port: int = 11112
    called_ae_title: str = "CLINIC"
    # Empty: each study is sent under the AE title of the station it was scheduled on.
    ae_title: str = ""
    # Stations asked for; none: the modality's own title if anything is scheduled on it, else all.
    stations: tuple[str, ...] = ()
    count: int | None = None  # studies sent at most; None: all that wait
    interval_s: float = 0.0  # pause between two studies, so that a person can follow
    patience_s: float = 0.0  # how long to keep asking when nobody waits
    arrived_only: bool = False  # leave those whom the worklist calls SCHEDULED
    commitment_s: float = 20.0  # for how long the result of storage commitment is awaited
    slices: int = CT_SLICES  # of a CT
    zone: tzinfo = UTC  # the clinic's: what it calls today, and the times in the images


def simulate_modality(modality: Modality, tell: Tell = AT_ONCE) -> int:
    """Verify, ask the worklist, perform each step and send its images; tell one line a service.

    Returns
    -------
    int
        0 when every service passed, 1 when one failed; lines name no patient.
    """
    # pynetdicom logs identifiers by itself unless it is told not to before an AE is made.
    _config.LOG_HANDLER_LEVEL = "none"
    try:
        _echo(modality, tell)
        waiting = _worklist(modality, tell)
        if any(each.station_ae_title == modality.ae_title for each in waiting):
            # What is completed leaves the worklist: that makes nobody else's steps ours.
            modality = replace(modality, stations=modality.stations or (modality.ae_title,))
        return _send_all(modality, waiting, tell)
    except ClinicError as error:
        tell(f"failed: {error.message}")
        return 1


def _echo(modality: Modality, tell: Tell) -> None:
    began = time.perf_counter()
    try:  # nobody there: said at once, and without pynetdicom leaving a socket open
        socket.create_connection((modality.host, modality.port), TIMEOUT_S).close()
    except OSError:
        raise PeerUnavailable(f"Nothing answers at {modality.host}:{modality.port}.") from None
    with _associated(modality, _own_title(modality), [(Verification, _NATIVE)]) as association:
        status = association.send_c_echo()
    if status.get("Status") != 0x0000:
        raise PeerUnavailable(f"C-ECHO was answered with {_shown(status)}.")
    tell(f"C-ECHO   passed  0x0000 in {_ms(began)} ms")


def _worklist(modality: Modality, tell: Tell | None = None) -> list[Booking]:
    """Ask for today's steps of the stations, those who have arrived first."""
    began = time.perf_counter()
    found = _query(modality, modality.stations or ("",))
    if not modality.stations and modality.ae_title:
        own = [each for each in found if each.station_ae_title == modality.ae_title]
        found = own or found
    if tell is not None:
        tell(f"C-FIND   passed  {len(found)} worklist items today in {_ms(began)} ms")
    return sorted(found, key=lambda each: (not each.has_arrived, each.start))


def _query(modality: Modality, stations: Sequence[str]) -> list[Booking]:
    found: list[Booking] = []
    context = [(ModalityWorklistInformationFind, _NATIVE)]
    with _associated(modality, _own_title(modality), context) as association:
        for station in stations:
            keys = worklist_keys(station, datetime.now(modality.zone))
            for status, item in association.send_c_find(keys, ModalityWorklistInformationFind):
                code = status.get("Status")
                if code in _PENDING and item is not None:
                    found.append(read_item(item))
                elif code != 0x0000:
                    raise PeerUnavailable(f"The worklist was answered with {_shown(status)}.")
    return found


def _send_all(modality: Modality, waiting: list[Booking], tell: Tell) -> int:
    """Send study after study, asking the worklist anew before each, as a console does."""
    sent: set[str] = set()
    asked_until = time.monotonic() + modality.patience_s
    while modality.count is None or len(sent) < modality.count:
        due = [
            each
            for each in waiting
            if each.identity.study_instance_uid not in sent
            and (each.has_arrived or not modality.arrived_only)
        ]
        if due:
            booking = due[0]
            _send(modality, booking, tell)
            sent.add(booking.identity.study_instance_uid)
            asked_until = time.monotonic() + modality.patience_s
            time.sleep(modality.interval_s)
        elif time.monotonic() < asked_until:
            time.sleep(POLL_S)
        else:
            break
        waiting = _worklist(modality)
    tell(f"done     {len(sent)} studies sent")
    return 0


def _send(modality: Modality, booking: Booking, tell: Tell) -> None:
    began, size = time.perf_counter(), 0
    made: list[Dataset] = []
    title = modality.ae_title or booking.station_ae_title or _own_title(modality)
    identity = replace(booking.identity, taken_at=datetime.now(modality.zone))
    results: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    handlers = [(evt.EVT_N_EVENT_REPORT, _take_result, [results])]
    step = _begin_step(modality, title, booking, tell)
    with _associated(modality, title, _OFFERED, handlers) as association:
        for ds in images_for(replace(booking, identity=identity), slices=modality.slices):
            try:
                status = association.send_c_store(ds)
            except RuntimeError:  # the association is gone
                raise PeerUnavailable("The association was ended by the other side.") from None
            if status.get("Status") != 0x0000:
                raise PeerUnavailable(f"C-STORE was answered with {_shown(status)}.")
            size += len(ds.PixelData)
            del ds.PixelData  # only what the performed step says of it is needed from here on
            made.append(ds)
        seconds = time.perf_counter() - began
        tell(
            f"C-STORE  passed  {title}: {len(made)} images, {size / 1e6:.1f} MB in {seconds:.1f} s"
        )
        if step is not None:
            said = performed.completed(made, booking, datetime.now(modality.zone))
            _complete_step(modality, title, step, said)
            tell(f"N-SET    passed  {title}: completed, {len(made)} images announced")
        references = tuple(Reference(ds.SOPClassUID, ds.SOPInstanceUID) for ds in made)
        _commit(modality, association, references, results, tell)


def _begin_step(modality: Modality, title: str, booking: Booking, tell: Tell) -> UID | None:
    """Say that the step begins; an archive that does not take performed steps gets none."""
    began, step = time.perf_counter(), generate_uid()
    said = performed.begun(booking, title, datetime.now(modality.zone))
    with _associated(modality, title, [*_STEPS, (Verification, _NATIVE)]) as association:
        taken = {context.abstract_syntax for context in association.accepted_contexts}
        if ModalityPerformedProcedureStep not in taken:
            tell("N-CREATE skipped: performed steps are not taken here")
            return None
        status, _ = association.send_n_create(said, ModalityPerformedProcedureStep, step)
    if status.get("Status") != 0x0000:
        raise PeerUnavailable(f"N-CREATE was answered with {_shown(status)}.")
    tell(f"N-CREATE passed  {title}: in progress in {_ms(began)} ms")
    return step


def _complete_step(modality: Modality, title: str, step: UID, said: Dataset) -> None:
    with _associated(modality, title, _STEPS) as association:
        status, _ = association.send_n_set(said, ModalityPerformedProcedureStep, step)
    if status.get("Status") != 0x0000:
        raise PeerUnavailable(f"N-SET was answered with {_shown(status)}.")


def _commit(
    modality: Modality,
    association: Association,
    references: tuple[Reference, ...],
    results: queue.SimpleQueue[tuple[int, int]],
    tell: Tell,
) -> None:
    """Ask whether all is safe, and wait for the result where it was asked (PS3.4 J)."""
    if StorageCommitmentPushModel not in {c.abstract_syntax for c in association.accepted_contexts}:
        tell("N-ACTION skipped  storage commitment is not offered")
        return
    began = time.perf_counter()
    request = commitment.encode_request(Request(generate_uid(), references))
    status, _ = association.send_n_action(
        request, commitment.REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    if status.get("Status") != 0x0000:
        raise PeerUnavailable(f"Storage commitment was answered with {_shown(status)}.")
    try:
        committed, failed = results.get(timeout=modality.commitment_s)
    except queue.Empty:
        tell(f"N-ACTION passed  {len(references)} images asked for; the result comes later")
        return
    if failed:
        raise PeerUnavailable(f"{failed} of {len(references)} images are not safe in the archive.")
    tell(f"N-EVENT  passed  {committed} images are safe, told after {_ms(began)} ms")


def _take_result(event: evt.Event, results: queue.SimpleQueue[tuple[int, int]]) -> tuple[int, None]:
    result = commitment.decode_result(event.event_information)
    results.put((len(result.committed), len(result.failed)))
    return 0x0000, None


@contextmanager
def _associated(
    modality: Modality,
    title: str,
    contexts: Sequence[tuple[str, list[str]]],
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Open an association, release it at the end, abort it when something went wrong.

    Raises
    ------
    PeerUnavailable
        Nobody listens there, or the association was refused.
    """
    ae = AE(ae_title=title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT_S
    ae.connection_timeout = TIMEOUT_S
    for sop_class, transfer_syntaxes in contexts:
        ae.add_requested_context(sop_class, transfer_syntaxes)
    association = ae.associate(
        modality.host,
        modality.port,
        ae_title=modality.called_ae_title,
        evt_handlers=list(handlers),
    )
    mended(association)
    if not association.is_established:
        how = f"refuses {title}" if association.is_rejected else "does not answer"
        raise PeerUnavailable(
            f"{modality.called_ae_title} at {modality.host}:{modality.port} {how}."
        )
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _own_title(modality: Modality) -> str:
    return modality.ae_title or (modality.stations[0] if modality.stations else "SIMULATOR")


def _shown(status: Dataset) -> str:
    return f"0x{status.Status:04X}" if "Status" in status else "nothing"


def _ms(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
