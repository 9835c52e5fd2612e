"""A stored object as a plain little endian data set, for peers that take nothing else.

What comes before the pixels is rewritten at once; pixels follow while they are read: native ones in
pieces from the file, compressed ones frame by frame, so that memory does not grow with the object.
"""

import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from clinic_panel.errors import NotDisplayable, NotUnderstood
from clinic_panel.imaging.elements import PIXEL_DATA, Buffer, Elements
from clinic_panel.imaging.opened import (
    DEFLATED_LITTLE,
    EXPLICIT_LITTLE,
    GE_IMPLICIT_BIG_PIXELS,
    IMPLICIT_LITTLE,
    Opened,
    open_data_set,
)
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import Decoder, compressed_frame
from clinic_panel.imaging.rewrite import Writer, swapped

MOST_HEADER_BYTES: Final = 64 << 20  # what is rewritten in memory
_MOST_BYTES: Final = 0xFFFFFFFE
_BLOCK_BYTES: Final = 1 << 20
_PIXELS_VR: Final = {0x7FE00008: b"OF", 0x7FE00009: b"OD"}
_UNIT_BYTES: Final = {b"OW": 2, b"OF": 4, b"OD": 8}
_PHOTOMETRIC, _PLANAR, _ALLOCATED = 0x00280004, 0x00280006, 0x00280100
_SIGNED, _LOSSY = 0x00280103, 0x00282110
_LOSSY_SYNTAXES: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
# Where frames began among the fragments, and a small picture that may be compressed as well.
_OF_THE_COMPRESSED: Final = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003, 0x00880200})


class Reencoded:
    """The data set of a stored object in another transfer syntax, made while it is read.

    What follows the pixels is left out: padding, and signatures that no longer hold.
    """

    def __init__(self, path: Path, transfer_syntax_uid: str, decoder: Decoder) -> None:
        """Rewrite the header, and decode the first frame of a compressed image.

        Parameters
        ----------
        transfer_syntax_uid
            Explicit or Implicit VR Little Endian.
        decoder
            Decodes one compressed frame; servers pass an ``IsolatedDecoder``.

        Raises
        ------
        NotUnderstood, NotDisplayable, OSError
            The object cannot be read, decoded or written so.
        """
        if transfer_syntax_uid not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
            raise NotDisplayable("This transfer syntax is not written here.")
        self._explicit = transfer_syntax_uid == EXPLICIT_LITTLE
        self._path, self._decoder = path, decoder
        self._open = ExitStack()
        self._pending = memoryview(b"")
        if path.stat().st_size == 0:
            raise NotUnderstood("The file is empty.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            opened = open_data_set(cast("Buffer", view))
            self._pieces = self._begun(opened)

    def readinto(self, view: memoryview) -> int:
        """Fill the view from its front; return how much was, 0 at the end."""
        if not self._pending:
            self._pending = memoryview(next(self._pieces, b""))
        count = min(len(view), len(self._pending))
        view[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def _begun(self, opened: Opened) -> Iterator[Buffer]:
        """Write the header; what is returned yields the whole data set."""
        elements = Elements(opened.buffer, opened.start, len(opened.buffer), opened.syntax)
        if not elements.found:
            raise NotUnderstood("The object is empty.")
        tag = next((tag for tag in PIXEL_DATA if tag in elements), None)
        if elements.end - opened.start > MOST_HEADER_BYTES:
            raise NotDisplayable("The object's header is too long to be written anew.")
        writer = Writer(explicit=self._explicit, signed=elements.integer(_SIGNED) == 1)
        if tag is None:
            return self._whole(writer.data_set(elements))
        pixels = elements.found[tag]
        if pixels.length < 0:
            return self._decoded(writer, elements)
        header = writer.data_set(elements, without=PIXEL_DATA)
        return self._native(writer, header, opened, tag, elements)

    def _whole(self, data_set: bytes) -> Iterator[Buffer]:
        self.size_bytes = len(data_set)
        return iter([data_set])

    def _native(
        self, writer: Writer, header: bytes, opened: Opened, tag: int, elements: Elements
    ) -> Iterator[Buffer]:
        pixels, allocated = elements.found[tag], elements.integer(_ALLOCATED) or 16
        vr = _PIXELS_VR.get(tag, pixels.vr if pixels.vr == b"OB" else b"OW")
        big = opened.syntax.big or opened.transfer_syntax_uid == GE_IMPLICIT_BIG_PIXELS
        unit = max(_UNIT_BYTES.get(vr, 1), allocated // 8 if vr == b"OW" else 1) if big else 1
        if pixels.start + pixels.length > len(opened.buffer) or pixels.length % unit:
            raise NotUnderstood("The object is cut short.")
        header += writer.head(tag, vr, pixels.length)
        self.size_bytes = len(header) + pixels.length
        inflated = opened.transfer_syntax_uid == DEFLATED_LITTLE
        source = cast("bytes", opened.buffer) if inflated else self._path

        def pieces() -> Iterator[Buffer]:
            yield header
            for block in self._blocks(source, pixels.start, pixels.length):
                yield swapped(block, unit) if unit > 1 else block

        return pieces()

    def _blocks(self, source: bytes | Path, start: int, length: int) -> Iterator[bytes]:
        if isinstance(source, bytes):
            for at in range(start, start + length, _BLOCK_BYTES):
                yield source[at : min(at + _BLOCK_BYTES, start + length)]
            return
        file = self._open.enter_context(source.open("rb"))
        file.seek(start)
        while length and (block := file.read(min(length, _BLOCK_BYTES))):
            length -= len(block)
            yield block

    def _decoded(self, writer: Writer, elements: Elements) -> Iterator[Buffer]:
        picture = describe(self._path)
        if picture.bits_allocated == 1:
            raise NotDisplayable("Compressed single bits are not decoded here.")
        file = self._open.enter_context(picture.opened())
        try:
            first, photometric = self._frame(picture, file, 0)
        except BaseException:
            self.close()
            raise
        frame_bytes = first.nbytes
        size = frame_bytes * picture.frames
        if size + size % 2 > _MOST_BYTES:
            raise NotDisplayable("The decoded image is too large.")
        instead = {
            _PHOTOMETRIC: (b"CS", photometric.encode() + b" " * (len(photometric) % 2)),
            _ALLOCATED: (b"US", (first.itemsize * 8).to_bytes(2, "little")),
        }
        if picture.samples > 1:
            instead[_PLANAR] = b"US", b"\0\0"
        if picture.transfer_syntax_uid in _LOSSY_SYNTAXES:
            instead[_LOSSY] = b"CS", b"01"
        header = writer.data_set(elements, instead=instead, without=PIXEL_DATA | _OF_THE_COMPRESSED)
        header += writer.head(0x7FE00010, b"OW" if first.itemsize > 1 else b"OB", size + size % 2)
        self.size_bytes = len(header) + size + size % 2

        def pieces() -> Iterator[Buffer]:
            yield header
            yield first.tobytes()
            for number in range(1, picture.frames):
                array, _ = self._frame(picture, file, number)
                if array.nbytes != frame_bytes:
                    raise NotDisplayable("The image's frames differ in size.")
                yield array.tobytes()
            yield b"\0" * (size % 2)

        return pieces()

    def _frame(self, picture: Picture, file: BinaryIO, number: int) -> tuple[NDArray[Any], str]:
        array, photometric = self._decoder(picture, compressed_frame(picture, file, number))
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return np.ascontiguousarray(little), photometric
