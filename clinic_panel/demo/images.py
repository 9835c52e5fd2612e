"""Images of visits that are over, kept as the listener would have kept them."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from pydicom import Dataset

from clinic_panel.context import Context
from clinic_panel.imaging import phantom
from clinic_panel.imaging.header import read_header
from clinic_panel.imaging.phantom import Identity
from clinic_panel.services import worklist
from clinic_panel.services.dicom import Outcome, Received, index_batch
from clinic_panel.services.worklist_keys import ScheduledStep, WorklistQuery
from clinic_panel.simulator.objects import Booking, images_for, take_again

# Past CTs are small and thin, so that the first start is quick; live ones are full size.
CT_SLICES, CT_ROWS = 24, 256


class Darkroom:
    """Makes the images of each modality once, and every further study from them."""

    def __init__(self) -> None:
        self._made: dict[str, list[Dataset]] = {}

    def develop(self, ctx: Context, accession_number: str) -> int:
        """Keep the images of a booked visit, taken at ``ctx.clock()``, and return the study's id.

        Raises
        ------
        StorageFull, Unavailable
            What was kept so far stays, as after a modality that stopped half-way.
        """
        asked = Dataset()
        asked.AccessionNumber = accession_number
        [step] = worklist.scheduled_steps(ctx, WorklistQuery(asked)).steps
        booking = _booking(ctx, step)
        images = take_again(self._images(booking.modality), booking)
        outcomes = keep(ctx, images, step.station_ae_title)
        return next(outcome.study_id for outcome in outcomes if outcome.study_id is not None)

    def _images(self, modality: str) -> list[Dataset]:
        if modality not in self._made:
            nobody = Booking(Identity(), modality)
            self._made[modality] = list(
                phantom.ct_phantom(slices=CT_SLICES, rows=CT_ROWS)
                if modality == "CT"
                else images_for(nobody)
            )
        return self._made[modality]


def keep(ctx: Context, images: Iterable[Dataset], source_ae_title: str) -> list[Outcome]:
    """Store objects durably and index them, in one commit, as a release from the wire would.

    Raises
    ------
    StorageFull, Unavailable
        The index is as it was.
    """
    received = []
    for ds in images:
        out = BytesIO()
        ds.save_as(out, enforce_file_format=True)
        part10 = out.getbuffer()
        received.append(Received(read_header(part10), ctx.store.put(part10), source_ae_title))
    return index_batch(ctx, received)


def _booking(ctx: Context, step: ScheduledStep) -> Booking:
    born = step.patient_birth_date
    return Booking(
        identity=Identity(
            patient_name=step.patient_name,
            patient_id=step.patient_id,
            issuer_of_patient_id=step.issuer_of_patient_id,
            patient_birth_date=born.strftime("%Y%m%d") if born else "",
            patient_sex=step.patient_sex,
            accession_number=step.accession_number,
            study_instance_uid=step.study_instance_uid,
            study_description=step.requested_procedure_description,
            study_id=step.requested_procedure_id,
            referring_physician_name=step.referring_physician_name,
            station_ae_title=step.station_ae_title,
            taken_at=ctx.clock().astimezone(ctx.zone),
        ),
        modality=step.modality,
        station_ae_title=step.station_ae_title,
        step_id=step.scheduled_procedure_step_id,
        step_description=step.requested_procedure_description,
        requested_procedure_id=step.requested_procedure_id,
    )
