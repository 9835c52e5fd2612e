"""Is the key at hand the one that this database is used with?

The audit's chain, passwords and pseudonyms all rest on it: a second key, made by itself in another
home, would break the first for good, refuse everybody and rename every patient. So the database
keeps a fingerprint, from which nobody can work out the key, and no process starts with another.
"""

from __future__ import annotations

import hmac
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel.config import Settings
from clinic_panel.context import AWAY
from clinic_panel.errors import SettingsError, Unavailable
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import User

FINGERPRINT: Final = "secret_key"  # SiteSetting: {"fingerprint": …}
_SHOWN: Final = 8  # hexadecimal digits of a fingerprint that tell two keys apart


def fingerprint(key: bytes) -> str:
    """Return what tells one key from another and leads back to neither."""
    return hmac.digest(key, b"clinic-panel: fingerprint of the secret key", "sha256").hex()


def check_secret(settings: Settings, engine: Engine) -> None:
    """Refuse to go on with another key than the database's; a database without rows takes ours.

    Raises
    ------
    SettingsError
        The message says which key is expected, and where. No key was made.
    Unavailable
        The database does not answer.
    """
    try:
        if not _fits(settings, engine):
            _fits(settings, engine)  # another process, which started with us, was faster
    except AWAY:
        raise Unavailable from None


def _fits(settings: Settings, engine: Engine) -> bool:
    with Session(engine) as session:
        problem = problem_of(settings, session)
        if problem:
            raise SettingsError(problem)
        if session.get(SiteSetting, FINGERPRINT) is not None:
            return True
        session.add(SiteSetting(key=FINGERPRINT, value=noted(settings)))
        try:
            session.commit()
        except IntegrityError:
            return False
    return True


def noted(settings: Settings) -> dict[str, str]:
    """Return what the database keeps of the key at hand, which is made if there is none."""
    return {"fingerprint": fingerprint(settings.secret)}


def problem_of(settings: Settings, session: Session) -> str:
    """Return why the key at hand is not the database's, as one sentence; empty if it is."""
    place = "CLINIC_SECRET_KEY" if settings.secret_key else str(settings.secret_path)
    row = session.get(SiteSetting, FINGERPRINT)
    first = session.scalar(select(AuditEntry).order_by(AuditEntry.id).limit(1))
    if row is None and first is None and session.scalar(select(User.id).limit(1)) is None:
        return ""  # nothing rests on a key yet
    if not settings.has_secret:
        return (
            f"There is no secret key in {place}, and this database is used with one{_mark(row)}: "
            "put the clinic's own secret.key there, or set CLINIC_SECRET_KEY to what it holds."
        )
    mine = fingerprint(settings.secret)
    if row is not None:
        is_same = hmac.compare_digest(mine, row.value["fingerprint"])
    else:  # used before there were fingerprints: by whoever wrote the first entry
        is_same = first is None or first.entry_hmac == first.computed_hmac(settings.secret)
    if is_same:
        return ""
    return (
        f"The secret key in {place} (fingerprint {mine[:_SHOWN]}) is not the one that this "
        f"database is used with{_mark(row)}: put the clinic's own secret.key there, or correct "
        "CLINIC_SECRET_KEY."
    )


def _mark(row: SiteSetting | None) -> str:
    return f" (fingerprint {row.value['fingerprint'][:_SHOWN]})" if row is not None else ""
