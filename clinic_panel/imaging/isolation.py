"""Decoding in child processes with little memory and little time.

Codecs are C code fed with what strangers send. A child gets the compressed bytes of one frame on
its standard input and answers with pixels; when it dies, takes too long or asks for too much
memory, the frame is not shown and the next one meets a new child. Children end with their parent,
because their input closes.
"""

import contextlib
import json
import math
import os
import queue
import resource
import selectors
import struct
import subprocess
import sys
import time
from collections.abc import Buffer
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable, Unavailable
from clinic_panel.imaging.decoding import (
    DAMAGED,
    check_dimensions,
    decode_stream,
    options_of,
)
from clinic_panel.imaging.picture import MAX_FRAME_BYTES, Picture

MEMORY_BYTES: Final = 2**30
TIMEOUT_S: Final = 20.0
_HEAD: Final = struct.Struct("<LQ")  # bytes of JSON, bytes of data
_MOST_JSON: Final = 4096
_KINDS: Final = frozenset({"|u1", "|i1", "<u2", "<i2", "<u4", "<i4"})


class IsolatedDecoder:
    """A few decoding processes, started when first needed; safe to call from many threads.

    Parameters
    ----------
    workers
        How many frames are decoded at once.
    memory_bytes
        What a child may take beyond its own code.
    timeout_s
        For one frame, waiting for a free child included.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        memory_bytes: int = MEMORY_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._workers = workers
        # Last in, first out: one busy child is warmer than many idle ones.
        self._idle: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)

    def __call__(self, picture: Picture, data: bytes) -> tuple[NDArray[Any], str]:
        """Decode one frame; takes and returns what ``decoding.decode`` does.

        Raises
        ------
        NotDisplayable
            As ``decode``; also when the child died or ran out of memory or time.
        Unavailable
            Every child was busy all the while.
        """
        check_dimensions(picture, data)
        deadline = time.monotonic() + self._timeout_s
        try:
            child = self._idle.get(timeout=self._timeout_s)
        except queue.Empty:
            raise Unavailable("Too many images are being decoded. Please try again.") from None
        try:
            if child is not None and child.poll() is not None:
                _end(child)
                child = None
            child = child or self._start()
            answer, pixels = self._ask(child, picture, data, deadline)
        except (OSError, ValueError, TimeoutError):
            if child is not None:
                _end(child)
            child = None
            raise NotDisplayable(DAMAGED) from None
        finally:
            self._idle.put(child)
        if "problem" in answer:
            raise NotDisplayable(str(answer["problem"])[:200])
        return _array(answer, pixels, picture), str(answer["photometric"])[:16]

    def close(self) -> None:
        """End the children; one still at work ends with this process."""
        slots = 0
        with contextlib.suppress(queue.Empty):
            while slots < self._workers:
                child = self._idle.get(timeout=1)
                slots += 1
                if child is not None:
                    _end(child)
        for _ in range(slots):
            self._idle.put(None)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "clinic_panel.imaging.isolation", str(self._memory_bytes)]
        keep = {
            name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ
        }
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a codec's last words may quote the image
            env=keep | {"OPENBLAS_NUM_THREADS": "1"},
            bufsize=0,
        )

    def _ask(
        self, child: subprocess.Popen[bytes], picture: Picture, data: bytes, deadline: float
    ) -> tuple[dict[str, Any], bytes]:
        assert child.stdin is not None
        assert child.stdout is not None
        question = {"uid": picture.transfer_syntax_uid, "options": options_of(picture)}
        text = json.dumps(question).encode()
        _write(child.stdin, _HEAD.pack(len(text), len(data)) + text + data, deadline)
        json_bytes, data_bytes = _HEAD.unpack(_read(child.stdout, _HEAD.size, deadline))
        if json_bytes > _MOST_JSON or data_bytes > MAX_FRAME_BYTES:
            raise ValueError
        answer = json.loads(_read(child.stdout, json_bytes, deadline))
        return answer, _read(child.stdout, data_bytes, deadline)


def _array(answer: dict[str, Any], pixels: bytes, picture: Picture) -> NDArray[Any]:
    """Trust nothing that a child says: it may be in the hands of the image."""
    kind, shape = answer.get("dtype"), answer.get("shape")
    expected = [picture.rows, picture.columns] + [picture.samples] * (picture.samples > 1)
    if kind not in _KINDS or shape != expected:
        raise NotDisplayable(DAMAGED)
    if len(pixels) != math.prod(expected) * np.dtype(kind).itemsize:
        raise NotDisplayable(DAMAGED)
    return np.frombuffer(pixels, kind).reshape(expected)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def _await(pipe: IO[bytes], event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def _write(pipe: IO[bytes], data: Buffer, deadline: float) -> None:
    os.set_blocking(pipe.fileno(), False)
    left = memoryview(data)
    while left:
        _await(pipe, selectors.EVENT_WRITE, deadline)
        left = left[os.write(pipe.fileno(), left[: 2**16]) :]


def _read(pipe: IO[bytes], count: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        _await(pipe, selectors.EVENT_READ, deadline)
        part = os.read(pipe.fileno(), min(count - len(parts), 2**20))
        if not part:
            raise OSError("the child ended")
        parts += part
    return bytes(parts)


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer frames until the input closes; runs in the child."""
    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        json_bytes, data_bytes = _HEAD.unpack(head)
        question = json.loads(source.read(json_bytes))
        data = source.read(data_bytes)
        pixels = b""
        try:
            array, photometric = decode_stream(question["uid"], question["options"], data)
            array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            kind = array.dtype.str
            answer = {"dtype": kind, "shape": list(array.shape), "photometric": photometric}
            pixels = array.tobytes()
        except NotDisplayable as error:
            answer = {"problem": error.message}
        text = json.dumps(answer).encode()
        sink.write(_HEAD.pack(len(text), len(pixels)) + text + pixels)
        sink.flush()


def _limit(memory_bytes: int) -> None:
    """Bound the address space to what is mapped now and the allowance; never dump core."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - not a path of ours
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
