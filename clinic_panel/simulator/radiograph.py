"""A generated radiograph of a chest phantom: path lengths through simple shapes, as film shows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS: Final = 1024
COLUMNS: Final = 896
SPACING_MM: Final = 0.4

_SOFT_PER_MM: Final = 0.019  # attenuation of soft tissue around 70 keV, in 1/mm
_BONE_PER_MM: Final = 0.040
_LUNG_PER_MM: Final = 0.005

type Field = NDArray[np.float64]


def chest(rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 1) -> NDArray[np.uint16]:
    """Draw a frontal chest: thorax, lungs, heart, spine, ribs and clavicles.

    Parameters
    ----------
    rows, columns
        Size of the picture; the field of view stays the same.
    seed
        Of the quantum noise.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), 12 bits, bright where much was absorbed (MONOCHROME2).
    """
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    x = (x / (columns - 1) - 0.5) * COLUMNS * SPACING_MM  # mm, patient's left is positive
    y = (y / (rows - 1) - 0.5) * ROWS * SPACING_MM  # mm, feet are positive
    trunk = _ellipsoid(x, y, (0, 40), (165, 290), 220)
    soft = np.maximum(trunk, _ellipsoid(x, y, (0, -190), (50, 90), 120))
    lungs = _lungs(x, y)
    heart = _ellipsoid(x, y, (28, 60), (62, 70), 95)
    bone = _bones(x, y)
    lungs = np.clip(lungs - 0.8 * heart, 0, None)
    absorbed = (soft - lungs) * _SOFT_PER_MM + lungs * _LUNG_PER_MM + bone * _BONE_PER_MM
    noise = np.random.default_rng(seed).normal(0, 0.012, absorbed.shape)
    grey = 4095 * np.clip((absorbed + noise) / 5.4, 0, 1) ** 0.9
    return grey.astype(np.uint16)


def _ellipsoid(
    x: Field, y: Field, center: tuple[float, float], half: tuple[float, float], depth_mm: float
) -> Field:
    """Path length through an ellipsoid, in mm."""
    r = ((x - center[0]) / half[0]) ** 2 + ((y - center[1]) / half[1]) ** 2
    return depth_mm * np.sqrt(np.clip(1 - r, 0, None))


def _lungs(x: Field, y: Field) -> Field:
    """Both lungs, cut off by the domes of the diaphragm."""
    right = _ellipsoid(x, y, (-72, -5), (54, 132), 175)
    left = _ellipsoid(x, y, (72, -5), (52, 132), 175)
    right_dome = np.clip((_dome(x, -72, 85) - y) / 6, 0, 1)
    left_dome = np.clip((_dome(x, 74, 95) - y) / 6, 0, 1)
    return right * right_dome + left * left_dome


def _dome(x: Field, center: float, top: float) -> Field:
    return top - 22 + ((x - center) / 62) ** 2 * 46


def _bones(x: Field, y: Field) -> Field:
    """Spine, ribs and clavicles: mm of bone along each ray."""
    bodies = 0.55 + 0.45 * (np.abs(np.sin(np.pi * y / 27)) > 0.22)
    bone = 26 * np.sqrt(np.clip(1 - (x / 15) ** 2, 0, None)) * bodies
    for number in range(10):
        top, reach = -150 + 25 * number, 84 + 5.2 * number
        across = np.clip(np.abs(x) / reach, 0, 1)
        for slope, thick in ((-26, 5.5), (58, 4.2)):  # behind, and in front where they descend
            middle = top + slope * across**2 + (16 if slope > 0 else 0)
            inside = (np.abs(x) < reach) & (np.abs(x) > (14 if slope < 0 else 38))
            bone += thick * np.sqrt(np.clip(1 - ((y - middle) / 5.0) ** 2, 0, None)) * inside
    clavicle = -158 - 0.16 * np.abs(x)
    inside = (np.abs(x) > 12) & (np.abs(x) < 132)
    bone += 9 * np.sqrt(np.clip(1 - ((y - clavicle) / 6.0) ** 2, 0, None)) * inside
    return bone
