"""Coded words of measurements: what was measured, how it was derived, and UCUM units."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from clinic_panel.imaging.figures import DEGREE, MM, MM2, PX, PX2, Figure, Quantity

# Without a calibration there is no length to give: what was counted are pixels (UCUM annotations).
PIXELS = Code("{pixels}", "UCUM", "pixels")
SQUARE_PIXELS = Code("{pixels2}", "UCUM", "square pixels")
CALIBRATION = codes.DCM.CalibrationMethod
COMMENT = codes.DCM.Comment

_QUANTITIES = {
    Quantity.LENGTH: codes.SCT.Length,
    Quantity.LONG_AXIS: codes.SCT.LongAxis,
    Quantity.SHORT_AXIS: codes.SCT.ShortAxis,
    Quantity.ANGLE: codes.SCT.Angle,
    Quantity.COBB: codes.SCT.CobbAngle,
    Quantity.AREA: codes.SCT.Area,
}
_EXTENTS = {  # along an axis of ultrasound that shows no length, by its unit
    "s": codes.SCT.Duration,
    "cm": codes.SCT.Length,
    "cm/s": codes.DCM.FlowVelocity,
}
_DERIVATIONS = {  # CID 7464
    Quantity.MEAN: codes.SCT.Mean,
    Quantity.SD: codes.SCT.StandardDeviation,
    Quantity.MIN: codes.SCT.Minimum,
    Quantity.MAX: codes.SCT.Maximum,
}
_UNITS = {
    MM: codes.UCUM.Millimeter,
    MM2: codes.UCUM.SquareMillimeter,
    PX: PIXELS,
    PX2: SQUARE_PIXELS,
    DEGREE: codes.UCUM.Degree,
    "HU": codes.UCUM.HounsfieldUnit,
    "Bq/ml": codes.UCUM.BecquerelsPerMilliliter,
    "g/ml": Code("g/ml", "UCUM", "gram per milliliter"),
    "counts": codes.UCUM.Counts,
    "Gy": Code("Gy", "UCUM", "gray"),
    "ms": codes.UCUM.Millisecond,
    "mm²/s": codes.UCUM.SquareMillimeterPerSecond,
    "µm²/s": codes.UCUM.SquareMicrometerPerSecond,
    "s": codes.UCUM.Second,
    "cm": codes.UCUM.Centimeter,
    "cm/s": codes.UCUM.CentimeterPerSecond,
}
_PIXEL_VALUES = {  # CID 7180, by unit and then by modality
    "HU": codes.DCM.AttenuationCoefficient,
    "Bq/ml": codes.DCM.NuclearMedicineTomographicActivity,
    "MR": codes.DCM.MRSignalIntensity,
    "US": codes.DCM.Echogenicity,
}
_PROCEDURES = {  # CID 100
    "CT": codes.LN.CTUnspecifiedBodyRegion,
    "MR": codes.LN.MRIUnspecifiedBodyRegion,
    "NM": codes.LN.NMUnspecifiedBodyRegion,
    "PT": codes.LN.PETUnspecifiedBodyRegion,
    "CR": codes.LN.XRUnspecifiedBodyRegion,
    "DX": codes.LN.XRUnspecifiedBodyRegion,
}
_TITLES = {  # CID 7010
    "Of Interest": codes.DCM.OfInterest,
    "For Referring Provider": codes.DCM.ForReferringProvider,
    "For Conference": codes.DCM.ForConference,
    "For Surgery": codes.DCM.ForSurgery,
    "For Teaching": codes.DCM.ForTeaching,
}


def has_name(figure: Figure) -> bool:
    """Whether there is a concept for a number: an extent in decibels has none."""
    is_extent = figure.quantity in (Quantity.ACROSS, Quantity.DOWN)
    return not is_extent or figure.unit in _EXTENTS


def name_of(figure: Figure, modality: str) -> tuple[Code, Code | None]:
    """Return what a number is and how it was derived.

    Where no concept says what the values of pixels are, the derivation itself is the name.
    """
    if figure.quantity in (Quantity.ACROSS, Quantity.DOWN):
        return _EXTENTS[figure.unit], None
    if not figure.quantity.is_of_pixels:
        return _QUANTITIES[figure.quantity], None
    derivation = _DERIVATIONS[figure.quantity]
    values = _PIXEL_VALUES.get(figure.unit) or _PIXEL_VALUES.get(modality)
    return (values, derivation) if values else (derivation, None)


def unit_of(figure: Figure) -> Code:
    """Return the unit of a number; one that UCUM does not know is none."""
    return _UNITS.get(figure.unit, codes.UCUM.NoUnits)


def procedure_of(modality: str) -> Code:
    """Return the procedure an image of this modality comes from."""
    return _PROCEDURES.get(modality, codes.SCT.ImagingProcedure)


def title_of(title: str) -> Code:
    """Return why images were chosen."""
    return _TITLES[title]
