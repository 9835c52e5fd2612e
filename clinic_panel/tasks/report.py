"""Signed reports as PDF: key images drawn and pages set by Dask, kept through the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import jobs, report_pdf
from clinic_panel.services.jobs import Claim
from clinic_panel.services.report_pdf import KeyImageSource, PrintOrder
from clinic_panel.tasks.work import Work, describe

if TYPE_CHECKING:
    from clinic_panel.documents.pdf import KeyImage

KEY_IMAGE_EDGE_PX = 1024


@dataclass(frozen=True, slots=True, repr=False)
class ReportTask:
    """One signed version to print."""

    report_version_id: int
    order: PrintOrder

    @property
    def key(self) -> str:
        """The name of the work; the digest is of what was signed and tells clinics apart."""
        digest = self.order.content.content_hash.replace(" ", "")
        return f"report-{self.report_version_id}-{digest}"


def render(task: ReportTask) -> bytes:
    """Return the PDF of a signed report, its key images as the reader saw them.

    Raises
    ------
    NotUnderstood, NotDisplayable
        A key image is damaged; a report without it would not be what was signed.
    """
    from clinic_panel.documents import pdf

    pictures = tuple(_draw(source) for source in task.order.key_images)
    return pdf.render(replace(task.order.content, key_images=pictures))


def plan(ctx: Context, claims: Sequence[Claim]) -> list[Work]:
    """Make one Dask task of each report; one whose stored text is damaged is set aside."""

    def keep(results: Sequence[tuple[Claim, Any]]) -> None:
        for claimed, pdf in results:
            report_pdf.keep_pdf(ctx, claimed.subject_id, pdf)
            jobs.finish(ctx, [(claimed, None)])

    works = []
    for claimed in claims:
        try:
            order = report_pdf.print_order(ctx, claimed.subject_id)
        except ClinicError as error:
            jobs.fail(ctx, claimed, describe(error), final=True)
            continue
        works.append(Work((claimed,), render, (ReportTask(claimed.subject_id, order),), keep))
    return works


def _draw(source: KeyImageSource) -> KeyImage:
    from clinic_panel.documents.pdf import KeyImage
    from clinic_panel.imaging import thumbnail
    from clinic_panel.imaging.picture import describe
    from clinic_panel.imaging.subtraction import read_as_seen

    image = thumbnail.render(
        read_as_seen(describe(source.path), source.frame, source.mask),
        KEY_IMAGE_EDGE_PX,
        window_center=source.window_center,
        window_width=source.window_width,
    )
    out = BytesIO()
    image.save(out, "PNG")
    return KeyImage(out.getvalue(), source.caption)
