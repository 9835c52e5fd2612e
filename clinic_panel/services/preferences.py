"""A reader's own keys, window presets and ways of the viewer: kept with their account."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.errors import Conflict, Invalid, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.preference import Preference
from clinic_panel.models.user import Permission, User
from clinic_panel.services import audit

MOST_PRESETS = 60
MOST_ACTIONS = 200
_MOST_KEYS = 4  # of one action
_LABEL_CHARS = 40
_MOST_VALUE = 1e7
_ACTION = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KEY = re.compile(r"(Ctrl\+)?(Shift\+)?([!-~\u00a1-\uffff ]|[A-Z][A-Za-z0-9]{1,19})")
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")  # a CS value (PS3.5 6.2)
_CHANGED = "Your settings were changed in another window. Open them again."


@dataclass(frozen=True, slots=True)
class Preset:
    """A window of the reader's own; an empty modality or body part means any."""

    label: str
    center: float
    width: float
    modality: str = ""
    body_part: str = ""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Read what a browser sent; raises Invalid."""
        try:
            made = cls(
                label=validation.clean(str(given["label"]))[:_LABEL_CHARS],
                center=float(given["center"]),
                width=float(given["width"]),
                modality=str(given.get("modality") or "").strip().upper(),
                body_part=str(given.get("body_part") or "").strip().upper(),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise Invalid("A window preset needs a name, a level and a width.") from None
        if not made.label:
            raise Invalid("A window preset needs a name.")
        within = math.isfinite(made.center) and abs(made.center) <= _MOST_VALUE
        if not (within and 0 < made.width <= _MOST_VALUE):
            raise Invalid("A window preset needs a level and a width above 0.")
        if not (_CODE.fullmatch(made.modality) and _CODE.fullmatch(made.body_part)):
            raise Invalid("Modality and body part are codes such as CT and CHEST.")
        return made


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the viewer answers the hand; each field says its choices, the first being usual."""

    tool: str = field(default="window", metadata={"of": ("window", "scroll", "pan", "zoom")})
    wheel: str = field(default="down", metadata={"of": ("down", "up")})
    window_pace: str = field(default="usual", metadata={"of": ("usual", "slow", "fast")})
    loupe: str = field(default="2", metadata={"of": ("2", "3", "4", "6")})
    smooth: str = field(default="yes", metadata={"of": ("yes", "no")})
    nm_colours: str = "Hot Iron"  # a palette the viewer knows, or empty for grey
    pt_colours: str = "PET"

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Read what a browser sent; what it does not name is as usual. Raises Invalid."""
        known = {one.name: one.metadata.get("of") for one in fields(cls)}
        if set(given) - set(known):
            raise Invalid("These settings are not known here.")
        for name, value in given.items():
            choices = known[name]
            if not isinstance(value, str) or len(value) > _LABEL_CHARS:
                raise Invalid("These settings are not known here.")
            if choices is not None and value not in choices:
                raise Invalid("These settings are not known here.")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Preferences:
    """All that a reader chose; ``version`` is 0 before anything was kept."""

    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    presets: tuple[Preset, ...] = ()
    behaviour: Behaviour = Behaviour()
    version: int = 0

    @classmethod
    def of(cls, given: dict[str, Any], *, version: int = 0) -> Self:
        """Read what a browser sent; raises Invalid."""
        keys, presets = given.get("keys") or {}, given.get("presets") or []
        behaviour = given.get("behaviour") or {}
        if not (
            isinstance(keys, dict) and isinstance(presets, list) and isinstance(behaviour, dict)
        ):
            raise Invalid("These settings are not known here.")
        if len(presets) > MOST_PRESETS:
            raise Invalid(f"At most {MOST_PRESETS} window presets are kept.")
        made = tuple(Preset.of(one) if isinstance(one, dict) else Preset.of({}) for one in presets)
        return cls(_keys(keys), made, Behaviour.of(behaviour), version)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the viewer."""
        return {
            "keys": {action: list(keys) for action, keys in self.keys.items()},
            "presets": [asdict(one) for one in self.presets],
            "behaviour": asdict(self.behaviour),
        }


def _keys(given: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    if len(given) > MOST_ACTIONS:
        raise Invalid("These settings are not known here.")
    taken: dict[str, str] = {}
    made = {}
    for action, keys in given.items():
        if not _ACTION.fullmatch(str(action)) or not isinstance(keys, list):
            raise Invalid("These settings are not known here.")
        if len(keys) > _MOST_KEYS:
            raise Invalid(f"At most {_MOST_KEYS} keys do the same.")
        for key in keys:
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise Invalid("One of the keys cannot be used.")
            if taken.setdefault(key, action) != action:
                raise Invalid(f"Two actions cannot share the key {key}.")
        made[str(action)] = tuple(dict.fromkeys(keys))
    return made


def mine(ctx: Context) -> Preferences:
    """Return what the actor's account chose; as usual where there is none."""
    with ctx.read() as session:
        row = _row(session, ctx)
        return Preferences() if row is None else _read(row)


def keep(ctx: Context, wanted: Preferences) -> Preferences:
    """Keep the actor's preferences, all of them as they are now.

    Parameters
    ----------
    wanted
        With the version they were read with: what another window kept since is not overwritten.

    Raises
    ------
    Forbidden, NotFound, Conflict
        Not a reader of images, no account, or another window was faster; nothing changed.
    """
    ctx.require(Permission.IMAGE_READ)
    try:
        with ctx.begin() as session:
            row = _row(session, ctx)
            if (row.version if row else 0) != wanted.version:
                raise Conflict(_CHANGED)
            before = Preferences() if row is None else _read(row)
            row = row or _new(session, ctx)
            chosen = wanted.as_dict()
            row.keys, row.presets = chosen["keys"], chosen["presets"]
            row.behaviour, row.changed_at = chosen["behaviour"], ctx.clock()
            session.flush()
            changed = [
                name
                for name in ("keys", "presets", "behaviour")
                if getattr(before, name) != getattr(wanted, name)
            ]
            audit.record(ctx, session, Action.CHANGE, row, changed=changed)
            return _read(row)
    except IntegrityError:  # another window was first to keep something
        raise Conflict(_CHANGED) from None


def _row(session: Session, ctx: Context) -> Preference | None:
    # By name: a notebook acts as the person who runs it, without having signed in.
    query = select(Preference).join(User, User.id == Preference.user_pk)
    return session.scalar(query.where(User.username == ctx.actor.username))


def _new(session: Session, ctx: Context) -> Preference:
    user_pk = session.scalar(select(User.id).where(User.username == ctx.actor.username))
    if user_pk is None:
        raise NotFound("There is no account to keep settings with.")
    row = Preference(user_pk=user_pk)
    session.add(row)
    return row


def _read(row: Preference) -> Preferences:
    kept = {"keys": row.keys, "presets": row.presets, "behaviour": row.behaviour}
    try:
        return Preferences.of(kept, version=row.version)
    except Invalid:  # another release of the program knew choices that this one does not
        return Preferences(version=row.version)
