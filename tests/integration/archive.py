"""Real objects in a clinic's archive, as the listener would have put them there."""

from io import BytesIO

from pydicom.dataset import Dataset

from clinic_panel.context import Context
from clinic_panel.imaging.header import read_header
from clinic_panel.services import dicom


def keep(ctx: Context, *objects: Dataset | bytes, source: str = "CT1") -> list[int]:
    """Keep and index objects; return the ids of their rows, in the same order."""
    received = []
    for one in objects:
        stored = ctx.store.put(one if isinstance(one, bytes) else _file(one))
        received.append(dicom.Received(read_header(ctx.store.path(stored.path)), stored, source))
    return [outcome.instance_id for outcome in dicom.index_batch(ctx, received)]


def _file(ds: Dataset) -> bytes:
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()
