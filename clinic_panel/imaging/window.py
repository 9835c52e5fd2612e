"""Window and level: the VOI transformation, presets, and a window for images that bring none."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray


class VoiFunction(StrEnum):
    """VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3); ``TABLE`` is a VOI LUT of the image."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"
    TABLE = "TABLE"


@dataclass(frozen=True, slots=True)
class Window:
    """One window in modality units, with the name a reader knows it by; a unit if only for that."""

    center: float
    width: float
    label: str = ""
    unit: str = ""


_CT: Final = (
    Window(50, 400, "Abdomen"),
    Window(40, 80, "Brain"),
    Window(50, 200, "Subdural"),
    Window(-600, 1500, "Lung"),
    Window(40, 400, "Mediastinum"),
    Window(500, 2000, "Bone"),
    Window(90, 160, "Liver"),
    Window(300, 600, "Angio"),
    Window(35, 30, "Stroke"),
    Window(60, 350, "Neck"),
    Window(50, 250, "Spine"),
    Window(700, 4000, "Temporal bone"),
)
_PT: Final = (Window(5, 10, "SUV 0-10", "g/ml"), Window(2.5, 5, "SUV 0-5", "g/ml"))
PRESETS: Final[dict[str, tuple[Window, ...]]] = {"CT": _CT, "PT": _PT}
_HEAD: Final = ("Brain", "Stroke", "Subdural", "Bone", "Temporal bone")
_CHEST: Final = ("Mediastinum", "Lung", "Bone", "Angio")
_ABDOMEN: Final = ("Abdomen", "Liver", "Bone", "Angio")
_SPINE: Final = ("Bone", "Spine")
_BY_BODY_PART: Final = {  # Body Part Examined (PS3.16 Annex L): what is looked at first
    "HEAD": _HEAD,
    "BRAIN": _HEAD,
    "SKULL": ("Bone", "Brain"),
    "EAR": ("Temporal bone", "Bone"),
    "TEMPORALBONE": ("Temporal bone", "Bone"),
    "NECK": ("Neck", "Angio", "Bone"),
    "CHEST": _CHEST,
    "LUNG": ("Lung", "Mediastinum"),
    "HEART": ("Mediastinum", "Angio"),
    "ABDOMEN": _ABDOMEN,
    "LIVER": ("Liver", "Abdomen"),
    "KIDNEY": _ABDOMEN,
    "PELVIS": ("Abdomen", "Bone"),
    "SPINE": _SPINE,
    "CSPINE": _SPINE,
    "TSPINE": _SPINE,
    "LSPINE": _SPINE,
    "EXTREMITY": ("Bone",),
    "HAND": ("Bone",),
    "FOOT": ("Bone",),
    "KNEE": ("Bone",),
    "HIP": ("Bone",),
    "SHOULDER": ("Bone",),
}


def presets(modality: str, body_part: str = "") -> tuple[Window, ...]:
    """The windows usual for a modality, those for the body part first."""
    known = PRESETS.get(modality, ())
    first = _BY_BODY_PART.get(body_part.upper().replace(" ", ""), ())
    places = {label: place for place, label in enumerate(first)}
    return tuple(sorted(known, key=lambda window: places.get(window.label, len(places))))


def apply(
    values: NDArray[np.generic],
    center: float,
    width: float,
    function: VoiFunction = VoiFunction.LINEAR,
    curve: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """Map modality values to brightness.

    Parameters
    ----------
    values
        Any shape, in modality units.
    center, width
        In the same units. A width below the least allowed is taken as that: 1 for LINEAR, a small
        positive number otherwise.
    function
        As in PS3.3 C.11.2.1.2.1 (linear), C.11.2.1.3.2 (linear exact), C.11.2.1.3.1 (sigmoid).
    curve
        For a table: brightness from 0 to 255, at even steps over the window (C.11.2.1.1).

    Returns
    -------
    numpy.ndarray
        float32 of the same shape, 0 (black) to 1 (white).
    """
    x = values.astype(np.float32)
    if function is VoiFunction.TABLE and curve is not None and len(curve):
        along = (x - (center - width / 2)) / max(width, 1e-6)
        place = np.clip(np.floor(along * len(curve)), 0, len(curve) - 1).astype(np.intp)
        return curve[place].astype(np.float32) / np.float32(255)
    if function is VoiFunction.SIGMOID:
        exponent = np.clip(-4 * (x - center) / max(width, 1e-6), -80, 80)
        return (1 / (1 + np.exp(exponent))).astype(np.float32)
    if function is VoiFunction.LINEAR_EXACT:
        shown = (x - center) / max(width, 1e-6) + 0.5
    elif width <= 1:
        shown = (x > center - 0.5).astype(np.float32)
    else:
        shown = (x - (center - 0.5)) / (width - 1) + 0.5
    return np.clip(shown, 0, 1).astype(np.float32)


def automatic(values: NDArray[np.generic], *, least_width: float = 1.0) -> Window:
    """A window for an image whose header brings none: the 1st to the 99.5th percentile.

    Parameters
    ----------
    values
        Modality values, or a sample of them. Not finite ones and an empty image are allowed.
    least_width
        Of the window, for an image of one value.
    """
    sample = values.ravel().astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return Window(0.5, 1.0, "Automatic")
    low, high = np.percentile(sample, (1, 99.5))
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    width = max(float(high - low), least_width)
    return Window(_short(float(low + high) / 2), _short(width), "Automatic")


def _short(number: float) -> float:
    """Three decimals, or six digits of a smaller number."""
    return round(number, 3) if abs(number) >= 100 else float(f"{number:.6g}")
