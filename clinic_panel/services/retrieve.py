"""What other systems may fetch: which objects an identifier names, and where they may go.

The rules of C-MOVE and C-GET (PS3.4 C.4.2, C.4.3), whatever carries them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import batched

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from sqlalchemy import Select, select

from clinic_panel import validation
from clinic_panel.context import Context
from clinic_panel.dimse.model import Remote
from clinic_panel.dimse.objects import StoredObject
from clinic_panel.errors import Invalid, NotFound
from clinic_panel.models.audit_log import Action
from clinic_panel.models.imaging import Instance, Series, Study
from clinic_panel.models.peer import Peer
from clinic_panel.models.user import Permission
from clinic_panel.services import audit
from clinic_panel.services.query_levels import QueryLevel, QueryModel

MOST_OBJECTS = 65_535  # what the counts of a response can say (PS3.7 9.1.3.1)
_AT_ONCE = 500  # values in one statement
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_COLUMNS = {
    QueryLevel.PATIENT: Study.patient_id,
    QueryLevel.STUDY: Study.study_instance_uid,
    QueryLevel.SERIES: Series.series_instance_uid,
    QueryLevel.IMAGE: Instance.sop_instance_uid,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are asked for: values of unique keys, all of which must hold.

    ``issuer_of_patient_id`` narrows a patient's number to those who gave it; empty: any.
    """

    level: QueryLevel
    keys: Mapping[QueryLevel, tuple[str, ...]]
    issuer_of_patient_id: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """One object to send, and the study it belongs to."""

    study_id: int
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class Found:
    """The objects, study by study in their order; whether there are more than can be counted."""

    matches: list[Match]
    is_cut: bool


def wanted(identifier: Dataset, model: QueryModel, *, relational: bool = False) -> Wanted:
    """Read the identifier of a retrieve (PS3.4 C.4.2.1.4).

    Parameters
    ----------
    relational
        Whether it was agreed that keys of upper levels may be missing (PS3.4 C.4.2.2.2).

    Raises
    ------
    Invalid
        The level is none of the model's, or a unique key is missing or not one; `field` names it.
    """
    said = str(identifier.get("QueryRetrieveLevel") or "").strip()
    if said not in model.levels:
        raise Invalid("There is no such Query/Retrieve level.", field="QueryRetrieveLevel")
    level, keys = QueryLevel(said), {}
    for upper in model.above(level):
        values = _values(identifier, upper)
        if len(values) > 1 or not (values or relational):
            raise Invalid(f"One {upper.unique_key} is needed.", field=upper.unique_key)
        if values:
            keys[upper] = values
    keys[level] = _values(identifier, level)
    if not keys[level]:
        raise Invalid(f"A {level.unique_key} is needed.", field=level.unique_key)
    issuer = str(identifier.get("IssuerOfPatientID") or "")
    return Wanted(level, keys, validation.clean(issuer) if QueryLevel.PATIENT in keys else "")


def _values(identifier: Dataset, level: QueryLevel) -> tuple[str, ...]:
    value = identifier.get(level.unique_key)
    parts = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = (validation.clean(str(part)).strip(" \0") for part in parts if part is not None)
    values = tuple(dict.fromkeys(text for text in texts if text))
    if level is QueryLevel.PATIENT:
        if len(values) > 1:  # a list of patients is no unique key (PS3.4 C.2.2.1)
            raise Invalid("One PatientID is needed.", field="PatientID")
    elif not all(map(_UID.fullmatch, values)):
        raise Invalid(f"This is no {level.unique_key}.", field=level.unique_key)
    return values


def matches(ctx: Context, what: Wanted) -> Found:
    """Return the objects that are asked for; `record` audits those that were sent.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was read.
    """
    ctx.require(Permission.IMAGE_READ, Permission.PATIENT_READ)
    found: list[Match] = []
    with ctx.read() as session:
        for query in _queries(what):
            for study_id, path, *uids in session.execute(query.limit(MOST_OBJECTS + 1)):
                found.append(Match(study_id, StoredObject(ctx.store.path(path), *uids)))
                if len(found) > MOST_OBJECTS:
                    return Found([], is_cut=True)
    return Found(found, is_cut=False)


def _queries(what: Wanted) -> Iterator[Select[int, str, str, str, str]]:
    """One statement for each few hundred values: a list of UIDs may be long."""
    query = (
        select(
            Study.id,
            Instance.path,
            Instance.sop_class_uid,
            Instance.sop_instance_uid,
            Instance.transfer_syntax_uid,
        )
        .join(Series, Series.study_pk == Study.id)
        .join(Instance, Instance.series_pk == Series.id)
        .order_by(Study.id, Series.id, Instance.instance_number, Instance.id)
    )
    if what.issuer_of_patient_id:
        query = query.where(Study.issuer_of_patient_id == what.issuer_of_patient_id)
    for level, values in what.keys.items():
        if level is not what.level:
            query = query.where(_COLUMNS[level] == values[0])
    for some in batched(what.keys[what.level], _AT_ONCE):
        yield query.where(_COLUMNS[what.level].in_(some))


def destination(ctx: Context, ae_title: str) -> Remote:
    """Return where a move destination is.

    Raises
    ------
    Forbidden, Unavailable
        It was not looked up.
    NotFound
        It is no active peer, or one without an address.
    """
    ctx.require(Permission.DICOM_WRITE)
    query = select(Peer.ae_title, Peer.host, Peer.port, Peer.uses_tls).where(
        Peer.ae_title == ae_title, Peer.is_active, Peer.host != ""
    )
    with ctx.read() as session:
        row = session.execute(query).first()
    if row is None:
        raise NotFound("There is no such peer.")
    return Remote(*row)


def record(
    ctx: Context,
    requestor: tuple[str, str],
    destination_ae_title: str,
    sent: Mapping[int, int],
    unsent: Mapping[int, int],
) -> None:
    """Audit what was sent: one entry a study, who asked for it, how many, and where they went.

    A peer that says it could not keep an object may hold it all the same.

    Parameters
    ----------
    requestor
        AE title and address of who asked.
    sent
        Number of instances by the id of the study.
    unsent
        Of those that were not taken, or failed on the way.

    Raises
    ------
    Forbidden, Unavailable
        Nothing was written.
    """
    ctx.require(Permission.DICOM_WRITE)
    ae_title, address = requestor
    peer = ctx.acting_as(replace(ctx.actor, address=address[:64]))
    with ctx.begin() as session:
        for study_id in sorted(sent.keys() | unsent.keys()):
            failed = {"failed": unsent[study_id]} if unsent.get(study_id) else {}
            study = session.get_one(Study, study_id)
            audit.record(
                peer,
                session,
                Action.RETRIEVE,
                study,
                patient_pk=study.patient_pk,
                ae_title=ae_title[:16],
                destination=destination_ae_title[:16],
                instances=sent.get(study_id, 0),
                **failed,
            )
