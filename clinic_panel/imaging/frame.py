"""One frame as it goes to a screen: its pixels, and what they mean."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clinic_panel.errors import NotDisplayable
from clinic_panel.imaging.lut import Palette
from clinic_panel.imaging.regions import Region
from clinic_panel.imaging.shutters import Shutter
from clinic_panel.imaging.window import Window

type Format = Literal["int16", "uint16", "uint8", "int32", "uint32", "float32", "rgb8"]


@dataclass(frozen=True, slots=True)
class ColourRange:
    """Which stored values of a grey frame are colours: ``count`` from ``first`` on.

    Greater ones have the last colour. ``key`` is the same for ranges of the same colours.
    """

    first: float
    count: int
    key: str


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What a screen needs beside the bytes; JSON-ready through ``as_dict``.

    ``padding`` are the least and greatest stored value of pixels outside the picture, or None.
    ``overlay`` says that the frame brings graphics. ``voi_curve`` is the shape of a VOI LUT, in
    runs (``lut.curve_of``) and Base64. ``slope`` and ``intercept`` turn stored values into
    ``unit``; those that ``colours`` says are no values. ``spacing`` is (row, column) in
    millimetres or None; of ultrasound, ``regions`` say where it is known and hold it each for
    itself. ``edges`` are the letters at left, right, top and bottom, or None. ``shutters`` say what
    of the frame is to be seen, all of it where there are none. ``frame_time_ms`` is how long it
    stands in a recording. ``masks`` are the numbers, from one, of the frames whose mean was
    subtracted from it: its values are differences then. ``mask_mode`` is whether that is
    wished, ``on`` or ``off``; empty where it cannot be. ``note`` is what a reader has to know of
    how the frame is shown.
    """

    rows: int
    columns: int
    format: Format
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    inverted: bool = False
    padding: tuple[float, float] | None = None
    overlay: bool = False
    colours: ColourRange | None = None
    window_center: float = 128.0  # with this width, LINEAR changes no colour
    window_width: float = 256.0
    voi_function: str = "LINEAR"
    voi_curve: str = ""
    windows: tuple[Window, ...] = ()
    spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    aspect: float = 1.0
    regions: tuple[Region, ...] = ()
    edges: tuple[str, str, str, str] | None = None
    position: tuple[float, float, float] | None = None
    orientation: tuple[float, ...] | None = None
    shutters: tuple[Shutter, ...] = ()
    frame_time_ms: float | None = None
    lossy: bool = False
    masks: tuple[int, ...] = ()
    mask_mode: Literal["", "off", "on"] = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def as_header(self) -> str:
        """The value of the X-Frame-Info response header: JSON in ASCII."""
        return json.dumps(self.as_dict(), separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: little endian bytes of shape (rows, columns[, 3]) and what they mean.

    ``overlay`` are its graphics, one bit a pixel (``overlays.mask``), or nothing; ``palette``
    holds the colours of ``info.colours``.
    """

    info: FrameInfo
    data: bytes
    overlay: bytes = b""
    palette: Palette | None = None

    @property
    def body(self) -> bytes:
        """What goes to a screen: the pixels, and behind them graphics and colours (RGB)."""
        if self.palette is not None:
            return self.data + self.overlay + self.palette.colours.tobytes()
        return self.data + self.overlay if self.overlay else self.data

    @property
    def coloured(self) -> NDArray[np.bool_] | None:
        """Which pixels are colours and no values, as bool (rows, columns); None if none can be."""
        return None if self.info.colours is None else self.stored >= self.info.colours.first

    @property
    def graphics(self) -> NDArray[np.bool_]:
        """Where graphics lie over the frame, as bool (rows, columns)."""
        count = self.info.rows * self.info.columns
        bits = np.zeros(count, np.uint8)
        if self.overlay:
            bits = np.unpackbits(np.frombuffer(self.overlay, np.uint8), bitorder="little")[:count]
        return bits.reshape(self.info.rows, self.info.columns).view(np.bool_)

    @property
    def stored(self) -> NDArray[Any]:
        """The bytes as an array (rows, columns) of stored values, or (rows, columns, 3) of RGB."""
        if self.info.format == "rgb8":
            shape: tuple[int, ...] = (self.info.rows, self.info.columns, 3)
            return np.frombuffer(self.data, np.uint8).reshape(shape)
        dtype = np.dtype(self.info.format).newbyteorder("<")
        return np.frombuffer(self.data, dtype).reshape(self.info.rows, self.info.columns)

    @property
    def values(self) -> NDArray[np.float32]:
        """Mono frames as float32 (rows, columns) in modality units."""
        if self.info.format == "rgb8":
            raise NotDisplayable("A colour image has no modality values.")
        return self.stored.astype(np.float32) * np.float32(self.info.slope) + np.float32(
            self.info.intercept
        )
