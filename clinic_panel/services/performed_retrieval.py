"""A performed step given back as it stands: all that its messages said, the last word counting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from clinic_panel.context import Context
from clinic_panel.imaging import charset
from clinic_panel.models.audit_log import Action
from clinic_panel.models.performed import PerformedProcedureStep, PerformedStepMessage
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.performed_attributes import Reason, StepRefused


def retrieve(
    ctx: Context, sop_instance_uid: str, *, source_ae_title: str = "", address: str = ""
) -> Dataset:
    """Return the attributes of a step, in UTF-8; the read is audited.

    Raises
    ------
    StepRefused
        There is no such step.
    Forbidden, Unavailable
        Nothing was read.
    """
    ctx.require(Permission.DICOM_WRITE, Permission.PATIENT_READ)
    query = (
        select(PerformedProcedureStep)
        .where(PerformedProcedureStep.sop_instance_uid == sop_instance_uid)
        .options(selectinload(PerformedProcedureStep.messages))
    )
    peer = ctx.acting_as(replace(ctx.actor, address=address[:64]))
    with ctx.begin() as session:
        step = session.scalar(query)
        if step is None:
            raise StepRefused(Reason.UNKNOWN)
        messages = list(step.messages)
        audit.record(
            peer,
            session,
            Action.VIEW,
            step,
            patient_pk=step.patient_pk,
            ae_title=source_ae_title[:16],
        )
    return _merged(messages)


def _merged(messages: Iterable[PerformedStepMessage]) -> Dataset:
    merged = Dataset()
    for message in messages:
        syntax = UID(message.transfer_syntax_uid)
        data = decode(
            BytesIO(message.attributes),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            syntax.is_deflated,
        )
        data.decode()  # each message has a character set of its own
        merged.update(data)
    merged.SpecificCharacterSet = charset.UTF_8
    return merged
