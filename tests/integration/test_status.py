"""Whether the clinic can work: asked by anybody, so asking changes nothing."""

import os
from dataclasses import replace

import pytest

from clinic_panel.archive import Archive
from clinic_panel.errors import StorageFull, Unavailable
from clinic_panel.services import status


@pytest.fixture
def incoming(ctx):
    folder = ctx.store.root / "incoming"
    os.utime(folder, (1, 1))
    return folder


def test_asking_writes_nothing(ctx, incoming):
    status.check_archive(ctx)
    assert incoming.stat().st_mtime == 1, "no file came or went"


def test_an_archive_that_cannot_be_written_is_named(ctx, incoming, monkeypatch):
    # The test may run as a user who may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != incoming)
    with pytest.raises(Unavailable, match="cannot be written"):
        status.check_archive(ctx)


def test_an_archive_that_is_gone_or_full_is_named(ctx, incoming):
    full = Archive(ctx.store.root, reserve_bytes=1 << 62)
    with pytest.raises(StorageFull):
        status.check_archive(replace(ctx, store=full))
    incoming.rename(incoming.with_name("gone"))
    with pytest.raises(Unavailable, match="cannot be written"):
        status.check_archive(ctx)
