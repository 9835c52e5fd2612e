"""What a DIMSE status means for the person at the device, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from clinic_panel.models.flight import Service

S = Service


@dataclass(frozen=True, slots=True)
class Meaning:
    """A status in words; ``todo`` is empty when nothing is to be done."""

    text: str
    todo: str = ""
    tone: str = "red"


_SUCCESS = Meaning("Success", tone="green")
_ASK_US = "Look at the clinic's log and at Admin → Archive warnings; then send again."
# PS3.7 C: what each service may answer.
_COMMON: dict[int, Meaning] = {
    0x0000: _SUCCESS,
    0xFE00: Meaning("Cancelled by the device", tone="amber"),
    0x0001: Meaning("Done, with a remark about optional attributes", tone="amber"),
    0x0105: Meaning("An attribute is not known", "Update the device's settings for this service."),
    0x0106: Meaning(
        "An attribute has a value that is not allowed",
        "Send the service engineer of the device this status and its comment.",
    ),
    0x0107: Meaning("Done, some attributes were not understood", tone="amber"),
    0x0110: Meaning("The clinic could not process it", _ASK_US),
    0x0111: Meaning(
        "This instance was sent before, with other content",
        "Compare both under Admin → Archive warnings.",
    ),
    0x0112: Meaning(
        "The object it speaks of is not known here",
        "The device should send the object first, then ask again.",
    ),
    0x0113: Meaning("The kind of event is not known"),
    0x0115: Meaning("An argument has a value that is not allowed"),
    0x0116: Meaning("Done, a value was out of range", tone="amber"),
    0x0117: Meaning("The UID of the object is not valid", "The device makes malformed UIDs."),
    0x0118: Meaning("This kind of object is not known"),
    0x0119: Meaning("The object is of another kind than was said"),
    0x0120: Meaning(
        "A required attribute is missing", "Fill it in at the device, or in its settings."
    ),
    0x0121: Meaning("A required attribute has no value", "Fill it in at the device."),
    0x0122: Meaning(
        "This kind of object or query is not offered here",
        "Switch it off at the device, or ask which kinds the clinic takes.",
    ),
    0x0123: Meaning("This action is not known"),
    0x0124: Meaning("The device is not authorised", "Allow it under Admin → Devices."),
    0x0210: Meaning("The request was sent twice under one number"),
    0x0211: Meaning("This operation is not offered"),
    0x0212: Meaning("The request was malformed"),
    0x0213: Meaning("Out of resources", "Free disk space at the clinic; then send again."),
}
_OF_SERVICE: dict[Service, dict[int, Meaning]] = {
    S.STORE: {  # PS3.4 B.2.3
        0xA700: Meaning(
            "Not kept: the clinic is out of disk space",
            "Free disk space at the clinic. The device keeps its copy and may send again.",
        ),
        0xA900: Meaning(
            "Not kept: the object is not the one that was announced",
            "The device mixes up instance or class UIDs: tell its service engineer.",
        ),
        0xB000: Meaning("Kept, with a value corrected", tone="amber"),
        0xB006: Meaning("Kept, some elements were left out", tone="amber"),
        0xB007: Meaning("Kept, though it does not fit its class", tone="amber"),
        0xC000: Meaning(
            "Not kept: the object cannot be read",
            "The data set is damaged or incomplete: send it again, or tell the service engineer.",
        ),
    },
    S.WORKLIST: {  # PS3.4 K.4.1.1.4
        0xA700: Meaning(
            "Too many bookings fit: not all were answered",
            "Let the device ask for its own station and for today only.",
        ),
        0xA900: Meaning(
            "The query is not one for the worklist",
            "Set the device to the Modality Worklist information model.",
        ),
        0xC000: Meaning("The query could not be processed", _ASK_US),
    },
    S.FIND: {  # PS3.4 C.4.1.1.4
        0xA700: Meaning("Too many fit: not all were answered", "Ask for less: a patient or a day."),
        0xA900: Meaning(
            "The query does not fit its level",
            "A key of a higher level is missing, such as the Study Instance UID.",
        ),
        0xC000: Meaning("The query could not be processed", _ASK_US),
    },
    S.MOVE: {  # PS3.4 C.4.2.1.5
        0xA701: Meaning("Out of resources: the matches could not be counted"),
        0xA702: Meaning("Out of resources: nothing could be sent"),
        0xA801: Meaning(
            "The destination is not known here",
            "Add it with its address under Admin → Devices.",
        ),
        0xA900: Meaning("The request does not fit its level"),
        0xB000: Meaning(
            "Some objects could not be delivered",
            "See whether the destination takes this kind of object; then ask again.",
            tone="amber",
        ),
        0xC000: Meaning("The request could not be processed", _ASK_US),
    },
    S.MPPS: {  # PS3.4 F.7.2
        0x0110: Meaning(
            "The step is completed or discontinued and cannot be changed any more",
            "Nothing is lost: the device sent its report once too often.",
        ),
        0x0111: Meaning(
            "A step with this UID exists already",
            "Nothing is lost: the device sent the start of the step twice.",
        ),
        0x0112: Meaning(
            "The step is not known here",
            "The clinic has not heard of its start: MPPS was off, or the message was lost.",
        ),
    },
}
_OF_SERVICE[S.GET] = _OF_SERVICE[S.MOVE]
# Ranges whose last digits are the implementation's own (PS3.7 C.4, C.5).
_RANGES: tuple[tuple[int, int, int], ...] = (
    (0xFF00, 0xA700, 0xA700),
    (0xFF00, 0xA900, 0xA900),
    (0xF000, 0xC000, 0xC000),
)
_UNKNOWN = Meaning("A status of the device's own", "Look it up in its conformance statement.")
_WARNING = Meaning("Done, with a warning", tone="amber")


def meaning(service: Service, status: str) -> Meaning:
    """Return what a final status says.

    Parameters
    ----------
    status
        Four hexadecimal digits.
    """
    code = int(status, 16)
    own = _OF_SERVICE.get(service, {})
    for table in (own, _COMMON):
        if code in table:
            return table[code]
    for mask, value, known in _RANGES:
        if code & mask == value and known in own:
            return own[known]
    return _WARNING if code & 0xF000 == 0xB000 else _UNKNOWN
