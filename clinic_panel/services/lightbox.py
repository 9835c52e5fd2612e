"""What a web server remembers of the studies on its screens, within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast
from weakref import WeakValueDictionary

from clinic_panel.imaging.decoding import decode
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.lut import LookUpTable, Palette
from clinic_panel.imaging.masking import Masking
from clinic_panel.imaging.picture import Picture
from clinic_panel.imaging.pixels import Decoder
from clinic_panel.imaging.structured import Reference
from clinic_panel.imaging.window import Window

MOST_INFLATED_BYTES = 64 * 2**20
MOST_FRAME_BYTES = 256 * 2**20


class Bounded[Key: Hashable, Value]:
    """A thread-safe map that forgets what was used longest ago.

    Parameters
    ----------
    most
        Sum of what the values weigh; one that alone weighs more is not kept.
    weigh
        What a value weighs; one, unless told.
    """

    def __init__(self, most: int, *, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        self._most = most
        self._weigh = weigh
        self._sum = 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """Return what is kept under the key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value; those used longest ago may go."""
        weight = self._weigh(value)
        with self._lock:
            if key in self._kept:
                self._sum -= self._weigh(self._kept.pop(key))
            if weight > self._most:
                return
            self._kept[key] = value
            self._sum += weight
            while self._sum > self._most:
                self._sum -= self._weigh(self._kept.popitem(last=False)[1])


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One frame as it goes to a browser: the value of ``X-Frame-Info``, and its pixels."""

    info: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Presented:
    """The images that a presentation state is for, and whether it subtracts a mask of them."""

    images: tuple[Reference, ...] = field(repr=False)
    subtracts: bool


class Lightbox:
    """What one process remembers of studies on screen, so that a frame costs no query.

    Frames are decoded once for all who look at them. Instances never change once indexed, so
    nothing here can be out of date.
    """

    def __init__(
        self,
        *,
        instances: int = 20_000,
        inflated_bytes: int = MOST_INFLATED_BYTES,
        frame_bytes: int = MOST_FRAME_BYTES,
        viewers: int = 1_000,
        decoder: Decoder = decode,
    ) -> None:
        self.decoder = decoder  # the web server's runs codecs in limited children
        self._pictures: Bounded[int, tuple[int, Picture]] = Bounded(instances)
        # Apart, so that one large deflated object does not push out a thousand descriptions.
        self._inflated: Bounded[int, tuple[int, Picture]] = Bounded(
            inflated_bytes, weigh=lambda known: _held_bytes(known[1])
        )
        # By instance, zero-based frame and what is subtracted from it (`subtracted.read_seen`).
        self.frames: Bounded[tuple[int, int, str], SentFrame] = Bounded(
            frame_bytes, weigh=lambda sent: len(sent.frame.data) + len(sent.frame.overlay)
        )
        self.presented: Bounded[int, Presented] = Bounded(1_000)
        self.maskings: Bounded[tuple[int, int], Masking] = Bounded(1_000)  # by state and image
        self.mask_windows: Bounded[tuple[int, str], Window] = Bounded(1_000)
        self.viewed_at: Bounded[tuple[str, int], datetime] = Bounded(viewers)
        self._tables: WeakValueDictionary[bytes, LookUpTable | Palette] = WeakValueDictionary()

    def find(self, instance_id: int) -> tuple[int, Picture] | None:
        """Return our number of the study and the picture of an instance, if both are remembered."""
        return self._pictures.get(instance_id) or self._inflated.get(instance_id)

    def keep(self, instance_id: int, study_pk: int, picture: Picture) -> Picture:
        """Remember a picture; one that holds its inflated object only as far as there is room.

        Returns
        -------
        Picture
            The same, sharing its tables with others that bring them alike.
        """
        picture = replace(
            picture,
            modality_lut=self._shared(picture.modality_lut),
            palette=self._shared(picture.palette),
            supplement=self._shared(picture.supplement),
        )
        shelf = self._inflated if _held_bytes(picture) else self._pictures
        shelf.put(instance_id, (study_pk, picture))
        return picture

    def _shared[Table: (LookUpTable, Palette)](self, table: Table | None) -> Table | None:
        """The same table for all pictures that bring one alike, as those of a series do."""
        if table is None:
            return None
        return cast(
            "Table", self._tables.setdefault(type(table).__name__.encode() + table.key, table)
        )


def _held_bytes(picture: Picture) -> int:
    return len(picture.source) if isinstance(picture.source, bytes) else 0
