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
    "BQML": codes.UCUM.BecquerelsPerMilliliter,
    "CNTS": codes.UCUM.Counts,
    "CPS": codes.UCUM.CountsPerSecond,
    "PROPCNTS": codes.UCUM.ProportionalToCounts,
}
_PIXEL_VALUES = {  # CID 7180, by unit and then by modality
    "HU": codes.DCM.AttenuationCoefficient,
    "BQML": codes.DCM.NuclearMedicineTomographicActivity,
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


def name_of(figure: Figure, modality: str) -> tuple[Code, Code | None]:
    """Return what a number is and how it was derived.

    Where no concept says what the values of pixels are, the derivation itself is the name.
    """
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
