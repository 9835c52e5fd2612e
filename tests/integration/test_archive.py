"""The archive on a real disk: what it keeps, what it refuses, what a killed writer leaves."""

import contextlib
import errno
import hashlib
import os
import signal
import subprocess
import sys
from io import BytesIO

import pytest
from pydicom.data import get_testdata_file

from clinic_panel.archive import PREAMBLE, Archive, data_set_offset
from clinic_panel.errors import NotFound, NotUnderstood, StorageFull


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "archive", reserve_bytes=0)


@pytest.fixture(scope="module")
def part10():
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        return file.read()


def _leftovers(archive):
    return sorted(path.name for path in (archive.root / "incoming").iterdir())


def test_an_object_is_found_by_the_digest_of_its_data_set(archive, part10):
    stored = archive.put(part10)

    data_set = part10[data_set_offset(memoryview(part10)) :]
    assert stored.sha256 == hashlib.sha256(data_set).hexdigest()
    assert stored.path == f"{stored.sha256[0]}/{stored.sha256[1]}/{stored.sha256}.dcm"
    assert archive.path(stored.path).read_bytes() == part10
    assert stored.size_bytes == len(part10)
    assert archive.digests(stored.path) == (stored.sha256, hashlib.sha256(part10).hexdigest())
    assert _leftovers(archive) == []


def test_pieces_of_any_size_make_the_same_object(archive, part10):
    start = data_set_offset(memoryview(part10))
    with archive.receiving(part10[:start]) as incoming:
        for at in range(start, len(part10), 1000):
            incoming.write([part10[at : at + 10], memoryview(part10)[at + 10 : at + 1000]])
        pieces = incoming.keep()

    assert pieces == archive.put(part10) == archive.put_stream(BytesIO(part10))
    assert archive.path(pieces.path).read_bytes() == part10


def test_the_same_image_from_another_source_is_one_file_and_the_first_stays(archive, part10):
    start = data_set_offset(memoryview(part10))
    first = archive.put(part10)

    with archive.receiving(PREAMBLE + b"other meta information") as incoming:
        incoming.write([part10[start:]])
        second = incoming.keep()

    assert second == first
    assert archive.path(first.path).read_bytes() == part10


def test_an_object_that_is_not_kept_leaves_no_trace(archive, part10):
    with archive.receiving() as incoming:
        incoming.write([part10])

    assert _leftovers(archive) == []
    assert list(archive.sweep(lambda paths: set())) == []


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b/short.dcm", "0/0/" + "f" * 64])
def test_a_name_from_elsewhere_is_never_a_path(archive, name):
    with pytest.raises(NotFound):
        archive.path(name)
    with pytest.raises(NotFound):
        archive.open(name)


@pytest.mark.parametrize("cut", [0, 100, 132, 140, 200])
def test_bytes_without_file_meta_information_are_not_kept(archive, part10, cut):
    with pytest.raises(NotUnderstood):
        archive.put(part10[:cut])


def test_the_reserve_is_refused_before_the_disk_is_full(tmp_path, part10):
    free = os.statvfs(tmp_path)
    everything = free.f_blocks * free.f_frsize
    full = Archive(tmp_path / "archive", reserve_bytes=everything)

    with pytest.raises(StorageFull):
        full.put(part10)
    assert _leftovers(full) == []


def test_the_reserve_is_noticed_in_the_middle_of_a_long_object(archive, monkeypatch):
    block = bytes(1 << 20)
    with archive.receiving() as incoming:
        incoming.write([block])
        monkeypatch.setattr(archive, "free_bytes", lambda: 0)
        with pytest.raises(StorageFull):
            incoming.write([block] * 20)
    assert _leftovers(archive) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_says_full_is_told_as_such(archive, part10, monkeypatch, code):
    def refuse(fd, part):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "writev", refuse)
    with pytest.raises(StorageFull):
        archive.put(part10)
    assert _leftovers(archive) == []


def test_a_short_write_is_completed(archive, part10, monkeypatch):
    def half(fd, part):
        return os.write(fd, b"".join(part)[:1000])

    monkeypatch.setattr(os, "writev", half)
    stored = archive.put(part10)
    assert archive.path(stored.path).read_bytes() == part10


def test_success_comes_after_file_and_folder_are_synced(archive, part10, monkeypatch):
    """The order a power cut needs: file, name, folder (reliability note G2)."""
    steps = []
    fsync, rename = os.fsync, os.rename

    def noted_sync(fd):
        steps.append(os.path.basename(os.path.dirname(os.readlink(f"/proc/self/fd/{fd}"))))
        fsync(fd)

    def noted_rename(path, target):
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "rename", noted_rename)
    stored = archive.put(part10)

    assert steps == ["incoming", "rename", stored.path[0]]


WRITER = """
import sys
from pathlib import Path
from clinic_panel.archive import Archive
archive = Archive(Path(sys.argv[1]), reserve_bytes=0)
archive.put(Path(sys.argv[2]).read_bytes())
incoming = archive.receiving()
incoming.write([b"half an object"])
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_a_temporary_that_the_sweep_takes(archive, part10):
    command = [sys.executable, "-c", WRITER, archive.root, get_testdata_file("CT_small.dcm")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"written\n"
        [temporary] = _leftovers(archive)
        later = Archive(archive.root, reserve_bytes=0)
        os.utime(archive.root / "incoming" / temporary, (1, 1))

        [orphan] = later.sweep(lambda paths: set())
        assert _leftovers(archive) == [temporary], "its writer lives and holds the lock"

        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert list(later.sweep(set)) == []
        assert _leftovers(archive) == []

    assert archive.path(orphan.path).read_bytes() == part10


def test_a_temporary_that_another_process_takes_first_is_no_trouble(archive, part10, monkeypatch):
    temporary = archive.root / "incoming" / "1-gone"
    temporary.write_bytes(b"half an object")
    archive.put(part10)
    scandir = os.scandir

    @contextlib.contextmanager
    def too_late(path):
        with scandir(path) as entries:
            found = list(entries)
        temporary.unlink(missing_ok=True)
        yield iter(found)

    monkeypatch.setattr(os, "scandir", too_late)
    assert len(list(archive.sweep(lambda paths: set()))) == 1


def test_the_sweep_asks_for_rows_and_yields_what_has_none(archive, part10):
    start = data_set_offset(memoryview(part10))
    kept = []
    for number in range(5):
        with archive.receiving(part10[:start]) as incoming:
            incoming.write([part10[start:], bytes([number])])
            kept.append(incoming.keep())
    (archive.root / "0" / "0" / "notes.txt").write_text("not ours")

    known = {stored.path for stored in kept[:3]}
    orphans = list(archive.sweep(lambda paths: known & set(paths)))

    assert sorted(orphans, key=lambda s: s.path) == sorted(kept[3:], key=lambda s: s.path)
