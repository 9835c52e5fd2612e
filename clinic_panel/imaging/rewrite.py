"""Elements in another plain encoding: headers anew, values as they are (PS3.5 7.1, A).

pydicom would decode every text and encode it again, and an object in a wrong or broken character
set would come out changed. Here a value keeps its bytes; only numbers turn round where the source
is big endian.
"""

import struct
from collections.abc import Mapping
from typing import Final

from pydicom.datadict import dictionary_VR

from clinic_panel.errors import NotUnderstood
from clinic_panel.imaging.elements import MAX_DEPTH, PIXEL_DATA, Element, Elements

_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNIT_BYTES: Final = {
    **dict.fromkeys((b"AT", b"OW", b"SS", b"US"), 2),
    **dict.fromkeys((b"FL", b"OF", b"OL", b"SL", b"UL"), 4),
    **dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), 8),
}
_ITEM: Final = 0xFFFEE000
_PIXEL_REPRESENTATION: Final = 0x00280103


class Writer:
    """Writes elements as Explicit or Implicit VR Little Endian."""

    def __init__(self, *, explicit: bool, signed: bool = False) -> None:
        """Prepare to write.

        Parameters
        ----------
        signed
            Whether pixels are (Pixel Representation): it decides the VR of some attributes.
        """
        self._explicit = explicit
        self._signed = signed

    def data_set(
        self,
        elements: Elements,
        *,
        instead: Mapping[int, tuple[bytes, bytes]] | None = None,
        without: frozenset[int] = frozenset(),
        depth: int = 0,
    ) -> bytes:
        """Return elements in the new encoding; group lengths, which would be wrong, are left out.

        Parameters
        ----------
        elements
            Scanned for all their tags.
        instead
            VR and value by tag, in place of what is there or in addition to it.
        without
            Tags to leave out.
        depth
            How many sequences it lies in.

        Raises
        ------
        NotUnderstood
            A sequence is damaged, too deep, or holds an image of its own.
        """
        if depth > MAX_DEPTH:
            raise NotUnderstood("The object nests its sequences too deeply.")
        instead = instead or {}
        parts = []
        for tag in sorted((elements.found.keys() | instead.keys()) - without):
            if tag in instead:
                parts.append(self.element(tag, *instead[tag]))
            elif tag & 0xFFFF:
                parts.append(self._rewritten(elements, tag, elements.found[tag], depth))
        return b"".join(parts)

    def element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """Return one element."""
        return self.head(tag, vr, len(value)) + value

    def head(self, tag: int, vr: bytes, length: int) -> bytes:
        """Return what comes before a value; one that is too long for its VR is UN (PS3.5 6.2.2)."""
        where = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if not self._explicit:
            return where + struct.pack("<L", length)
        if vr not in _LONG_VRS and length > 0xFFFF:
            vr = b"UN"
        if vr in _LONG_VRS:
            return where + vr + struct.pack("<HL", 0, length)
        return where + vr + struct.pack("<H", length)

    def _rewritten(self, elements: Elements, tag: int, element: Element, depth: int) -> bytes:
        vr = element.vr if elements.syntax.explicit else self._vr(tag)
        if element.length < 0 or vr == b"SQ":
            return self.element(tag, b"SQ", self._items(elements, tag, depth + 1))
        value = bytes(elements.buffer[element.start : element.start + element.length])
        if elements.syntax.big and (unit := _UNIT_BYTES.get(vr)):
            value = swapped(value, unit)
        return self.element(tag, vr, value)

    def _items(self, elements: Elements, tag: int, depth: int) -> bytes:
        parts = []
        for item in elements.items(tag):
            if item.found.keys() & PIXEL_DATA:
                raise NotUnderstood("The object holds an image within an image.")
            content = self.data_set(item, depth=depth)
            parts.append(struct.pack("<HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content)
        return b"".join(parts)

    def _vr(self, tag: int) -> bytes:
        """The VR of an attribute that came without one."""
        if tag >> 16 & 1:
            return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"  # a creator's name
        try:
            vr = str(dictionary_VR(tag))
        except KeyError:
            return b"UN"
        if vr.endswith("OW"):
            return b"OW"
        if vr == "US or SS":
            return b"SS" if self._signed else b"US"
        return vr.encode() if len(vr) == 2 else b"UN"


def swapped(value: bytes, unit_bytes: int) -> bytes:
    """Turn the bytes of each number round.

    Raises
    ------
    NotUnderstood
        The last number is cut.
    """
    if len(value) % unit_bytes:
        raise NotUnderstood("The object holds half a number.")
    turned = bytearray(len(value))
    for at in range(unit_bytes):
        turned[at::unit_bytes] = value[unit_bytes - 1 - at :: unit_bytes]
    return bytes(turned)
