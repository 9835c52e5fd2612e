"""Studies of objects whose headers lie: the page gets a picture or a sentence for each, always."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import select

from clinic_panel.components.viewer import study as page
from clinic_panel.errors import ClinicError, NotUnderstood
from clinic_panel.imaging.isolation import IsolatedDecoder
from clinic_panel.imaging.kinds import Kind
from clinic_panel.models.imaging import Instance
from clinic_panel.models.user import Role
from clinic_panel.services import documents, frames, viewing
from clinic_panel.services.lightbox import Lightbox
from tests import factories, hostile
from tests.integration.peer import PATIENCE_S

IMAGES = 260
PAPERS = {  # what is no image has readers of its own
    "test-SR.dcm": "1.2.840.10008.5.1.4.1.1.88.33",
    "reportsi.dcm": "1.2.840.10008.5.1.4.1.1.88.11",
    "waveform_ecg.dcm": "1.2.840.10008.5.1.4.1.1.9.1.1",
    "rtplan.dcm": "1.2.840.10008.5.1.4.1.1.481.5",
}
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def lightbox() -> Iterator[Lightbox]:
    decoder = IsolatedDecoder(2, memory_bytes=2**28, timeout_s=PATIENCE_S)
    yield Lightbox(decoder=decoder)
    decoder.close()


def kept(ctx, objects: list[tuple[bytes, str]]) -> tuple[int, int]:
    """A study of those objects that the archive takes, each with its SOP class: number and size."""
    stored = []
    for part10, sop_class_uid in objects:
        with suppress(NotUnderstood):
            stored.append((ctx.store.put_stream(BytesIO(part10)), sop_class_uid))
    study = factories.study(ctx, instances=len(stored))
    with ctx.begin() as session:
        rows = list(session.scalars(select(Instance).order_by(Instance.id)))
        for row, (one, sop_class_uid) in zip(rows, stored, strict=True):
            row.path, row.sha256, row.sop_class_uid = one.path, one.sha256, sop_class_uid
    return study.id, len(stored)


def strictly(value: object) -> str:
    """JSON as a browser reads it, which knows no NaN."""
    return json.dumps(value, allow_nan=False)


def answer[Value](ask: Callable[[], Value]) -> Value | None:
    """What a service gives; None where it says in a sentence why not."""
    try:
        return ask()
    except ClinicError as error:
        return None if error.message.endswith(".") else pytest.fail("no sentence")


def test_images_with_lying_headers_are_shown_or_say_why(ctx, as_role, lightbox):
    chance, sources = random.Random(11), hostile.seeds()
    ct = "1.2.840.10008.5.1.4.1.1.2"
    objects = [(hostile.damaged(sources[i % len(sources)], chance), ct) for i in range(IMAGES)]
    study_id, count = kept(ctx, objects)
    doctor = as_role(Role.CLINICIAN)

    view = viewing.study(doctor, lightbox, study_id)

    strictly(page.series_of(view))
    strictly(page.banner_of(view))
    [series] = view.series
    said = [paper.problem for paper in series.papers]
    assert all(said)
    shown = refused = 0
    firsts = {frame.instance_id: frame for frame in reversed(series.frames)}
    assert len(firsts) + len(said) == count > IMAGES * 0.8
    for instance_id, frame in firsts.items():
        where = (doctor, lightbox, instance_id, frame.frame)
        sent = answer(lambda where=where: frames.sent_frame(*where))
        if sent is None:
            refused += 1
            continue
        info = json.loads(sent.info)
        strictly(info)
        assert sent.frame.stored.shape[:2] == (info["rows"], info["columns"])
        frames.preview(*where)
        shown += 1
    assert min(shown, refused, len(said)) > 40
    for paper in series.papers[:60]:
        listed = answer(lambda one=paper.instance_id: documents.header(doctor, one))
        strictly(listed and listed.as_dict())


def test_documents_with_lying_contents_are_shown_or_say_why(ctx, as_role, lightbox):
    chance = random.Random(12)
    objects = []
    for name, sop_class_uid in PAPERS.items():
        source = Path(get_testdata_file(name)).read_bytes()
        for _ in range(16):
            found = bytearray(source)
            for _ in range(chance.randint(1, 12)):
                found[chance.randrange(132, len(found))] = chance.randrange(256)
            objects += [(bytes(found), sop_class_uid), (bytes(found), PRESENTATION)]
    study_id, count = kept(ctx, objects)
    doctor = as_role(Role.CLINICIAN)

    view = viewing.study(doctor, lightbox, study_id)

    strictly(page.series_of(view))
    [series] = view.series
    assert len(series.papers) == count > len(objects) / 2
    for paper in series.papers:
        if paper.kind is Kind.PRESENTATION:
            continue
        read = answer(lambda one=paper.instance_id: documents.paper(doctor, lightbox, one))
        listed = answer(lambda one=paper.instance_id: documents.header(doctor, one))
        strictly([part and part.as_dict() for part in (read, listed)])
