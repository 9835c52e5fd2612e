"""What an administrator says of the clinic itself: the letterhead of its reports, and its key."""

from __future__ import annotations

from dataclasses import dataclass

from clinic_panel.context import Context
from clinic_panel.errors import Conflict
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import SiteSetting, Topic
from clinic_panel.models.user import Permission
from clinic_panel.secret import FINGERPRINT, noted
from clinic_panel.services import audit, changes
from clinic_panel.services.report_content import LETTERHEAD
from clinic_panel.validation import free_text, short_text

MAX_ADDRESS = 400


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose paper a report is; ``version`` goes back with a change, 0 while nothing is kept."""

    name: str = ""
    address: str = ""
    phone: str = ""
    version: int = 0


def letterhead(ctx: Context) -> Letterhead:
    """Return the letterhead.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    with ctx.read() as session:
        row = session.get(SiteSetting, LETTERHEAD)
        return _letterhead(row) if row is not None else Letterhead()


def set_letterhead(ctx: Context, form: Letterhead) -> Letterhead:
    """Keep another letterhead, for reports signed from now on; a logo stays.

    Raises
    ------
    Conflict
        Somebody else changed it since ``form.version`` was read.
    Invalid, Forbidden
    """
    ctx.require(Permission.ADMIN)
    said = {
        "name": short_text(form.name, "name", limit=120, required=True),
        "address": free_text(form.address, MAX_ADDRESS),
        "phone": short_text(form.phone, "phone", limit=60),
    }
    with ctx.begin() as session:
        row = session.get(SiteSetting, LETTERHEAD)
        if (row.version if row is not None else 0) != form.version:
            raise Conflict
        if row is None:
            row = SiteSetting(key=LETTERHEAD, value=said)
            session.add(row)
        else:
            row.value = {**row.value, **said}
        session.flush()
        audit.record(ctx, session, Action.CHANGE, row, key=LETTERHEAD)
        changes.announce(session, Topic.ADMIN)
        return _letterhead(row)


def renew_key(ctx: Context) -> None:
    """Use the database with the key at hand from now on, made if there is none.

    Raises
    ------
    Forbidden
    """
    ctx.require(Permission.ADMIN)
    with ctx.begin() as session:
        row = session.get(SiteSetting, FINGERPRINT)
        if row is None:
            row = SiteSetting(key=FINGERPRINT)
            session.add(row)
        row.value = noted(ctx.settings)
        session.flush()
        audit.record(ctx, session, Action.CHANGE, row, key=FINGERPRINT)


def _letterhead(row: SiteSetting) -> Letterhead:
    value = row.value
    return Letterhead(
        name=value.get("name", ""),
        address=value.get("address", ""),
        phone=value.get("phone", ""),
        version=row.version,
    )
