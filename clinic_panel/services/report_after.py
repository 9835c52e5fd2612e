"""What came after a report was signed: its PDF or none, and further images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from clinic_panel.imaging.kinds import WRITTEN
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.report import Report, ReportVersion
from clinic_panel.services.record import latest_number


@dataclass(frozen=True, slots=True)
class After:
    """What a reader has to know beside the signed words."""

    images: int = 0  # that came when it was signed already
    pdf_failed: bool = False  # and is not tried for any more


def after(session: Session, studies: Sequence[Study]) -> dict[int, After]:
    """Return by study what came after its report; studies without a signed one are left out."""
    latest = {
        study.id: study.report.versions[-1]
        for study in studies
        if study.report is not None and study.report.versions
    }
    # Of most there is nothing to ask: their last image came before.
    late = [
        study.id
        for study in studies
        if study.id in latest and study.last_received_at > latest[study.id].signed_at
    ]
    came = _images_after(session, late) if late else {}
    unprinted = [version.id for version in latest.values() if version.document is None]
    failed = _failed(session, unprinted) if unprinted else set()
    return {
        study_id: After(came.get(study_id, 0), version.id in failed)
        for study_id, version in latest.items()
    }


def _images_after(session: Session, study_pks: Collection[int]) -> dict[int, int]:
    query = (
        select(Series.study_pk, func.count(Instance.id))
        .join(Report, Report.study_pk == Series.study_pk)
        .join(ReportVersion, ReportVersion.report_pk == Report.id)
        .join(Instance, Instance.series_pk == Series.id)
        .where(
            Series.study_pk.in_(study_pks),
            Series.modality.not_in(WRITTEN),  # as our own evidence is
            ReportVersion.number == latest_number(),
            Instance.received_at > ReportVersion.signed_at,
        )
        .group_by(Series.study_pk)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _failed(session: Session, version_ids: Collection[int]) -> set[int]:
    query = select(Job.subject_id).where(
        Job.kind == JobKind.REPORT_PDF,
        Job.subject_id.in_(version_ids),
        Job.state == JobState.FAILED,
    )
    return set(session.scalars(query))
