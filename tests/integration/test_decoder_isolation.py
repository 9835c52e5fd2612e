"""Decoding in children that may die: real processes, real codecs."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom.data import get_testdata_file

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging import isolation
from clinic_panel.imaging.isolation import IsolatedDecoder
from clinic_panel.imaging.picture import describe
from clinic_panel.imaging.pixels import read_frame
from tests.integration.peer import PATIENCE_S

COMPRESSED = ["MR_small_RLE.dcm", "693_J2KI.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG-lossy.dcm"]


def path_of(name: str) -> Path:
    return Path(get_testdata_file(name))


def children() -> list[psutil.Process]:
    return [
        one
        for one in psutil.Process().children()
        if "clinic_panel.imaging.isolation" in one.cmdline()
    ]


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    made = IsolatedDecoder(2, timeout_s=PATIENCE_S)
    yield made
    made.close()
    assert children() == []


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_child_decodes_what_this_process_would(name, decoder):
    alone, here = read_frame(path_of(name), decoder=decoder), read_frame(path_of(name))
    assert alone.info == here.info
    np.testing.assert_array_equal(alone.stored, here.stored)


def test_a_child_is_kept_for_the_next_frame_and_serves_many_threads(decoder):
    picture = describe(path_of("MR_small_RLE.dcm"))
    expected = read_frame(picture).data
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: read_frame(picture, decoder=decoder).data, range(12)))
    assert set(found) == {expected}
    assert 1 <= len(children()) <= 2


def test_a_killed_child_costs_one_frame_at_most(decoder):
    picture = describe(path_of("MR_small_RLE.dcm"))
    expected = read_frame(picture, decoder=decoder).data
    [child] = children()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(PATIENCE_S)
    assert read_frame(picture, decoder=decoder).data == expected


def test_a_child_that_takes_too_long_is_ended():
    picture = describe(path_of("693_J2KI.dcm"))
    hurried = IsolatedDecoder(1, timeout_s=0.001)
    with pytest.raises(NotDisplayable, match="damaged"):
        read_frame(picture, decoder=hurried)
    assert children() == []


def test_a_frame_that_needs_too_much_memory_is_refused_and_the_next_is_shown(decoder, monkeypatch):
    picture = describe(path_of("MR_small_RLE.dcm"))
    read_frame(picture, decoder=decoder)
    monkeypatch.setattr(isolation, "check_dimensions", lambda picture, data: None)
    huge = replace(picture, rows=60_000, columns=60_000)
    with pytest.raises(NotDisplayable):
        decoder(huge, bytes(64))
    for child in children():
        assert child.memory_info().rss < 2**30
    assert read_frame(picture, decoder=decoder).data == read_frame(picture).data


def test_a_damaged_frame_says_so_and_leaves_the_child_alive(decoder):
    picture = describe(path_of("693_J2KI.dcm"))
    read_frame(picture, decoder=decoder)
    before = [child.pid for child in children()]
    with picture.opened() as file:
        data = file.read()
    start = data.index(b"\xff\x4f\xff\x51")
    with pytest.raises(NotDisplayable, match="damaged"):
        decoder(picture, data[start : start + 200])
    assert [child.pid for child in children()] == before
