"""What every page stands in: the shell, for the person who looks, with their patient search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clinic_panel import validation
from clinic_panel.components.shell import shell
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.user import Permission
from clinic_panel.services import patient

HITS = 8


def framed(
    ctx: Context,
    title: str,
    active: str,
    *,
    top: Sequence[Any] = (),
    main: Sequence[Any] = (),
    aside: Sequence[Any] = (),
    aside_px: int = 332,
    overlays: Sequence[Any] = (),
) -> Any:
    """Return a page of the clinic for whoever looks; the arguments are those of ``shell``."""

    def search(text: str) -> list[dict[str, str]]:
        try:
            found = patient.find(ctx, text, HITS)
        except ClinicError:  # half-typed text that is no question yet, or the database is away
            return []
        return [
            {
                "label": validation.display_name(row.patient_name),
                "detail": _detail(row.patient_id, row.patient_birth_date),
                "href": f"/patients?id={row.id}",
            }
            for row in found
        ]

    return shell(
        title,
        user=ctx.actor.display_name or ctx.actor.username,
        role=ctx.actor.role.value,
        active=active,
        top=top,
        main=main,
        aside=aside,
        aside_px=aside_px,
        overlays=overlays,
        search=search if ctx.may(Permission.PATIENT_READ) else None,
    )


def _detail(patient_id: str, birth_date: object) -> str:
    return " · ".join(filter(None, (patient_id, str(birth_date or ""))))
