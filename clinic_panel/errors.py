"""What can go wrong, as types. The message is one sentence for a screen and names no patient."""

from typing import ClassVar


class ClinicError(Exception):
    """Base of every error this project raises on purpose."""

    default: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str = "") -> None:
        self.message = message or self.default
        super().__init__(self.message)


class SettingsError(ClinicError):
    """A setting is unknown or out of bounds; the start stops."""

    default = "A setting is not valid."


class Invalid(ClinicError):
    """What was entered breaks a rule; ``field`` names the column it concerns, if one."""

    default = "What was entered is not valid."

    def __init__(self, message: str = "", *, field: str = "") -> None:
        self.field = field
        super().__init__(message)


class NotFound(ClinicError):
    """No such thing, or not for this actor to know of."""

    default = "This record does not exist."


class Unauthenticated(ClinicError):
    """Nobody is signed in, or the password is wrong."""

    default = "Please sign in."


class LockedOut(Unauthenticated):
    """Too many failed attempts; ``wait_s`` says for how long to wait."""

    default = "Too many failed attempts. Please wait and try again."

    def __init__(self, message: str = "", *, wait_s: int = 0) -> None:
        self.wait_s = wait_s
        super().__init__(message)


class Forbidden(ClinicError):
    """Signed in, but not allowed."""

    default = "Your role does not allow this."


class Conflict(ClinicError):
    """Someone else changed the record first, or its state forbids the change."""

    default = "Someone else changed this record meanwhile. Reload it and try again."


class Unconfirmed(ClinicError):
    """It can be done, but a person has to say yes first; the message says why."""

    default = "Please confirm."


class SlotTaken(Conflict):
    """The room is already booked at that time."""

    default = "The room is already booked at that time."


class Unavailable(ClinicError):
    """A part the clinic needs does not answer now; trying again later may work."""

    default = "The database does not answer. Please try again in a moment."


class PeerUnavailable(Unavailable):
    """Another archive or device does not answer or refuses the association."""

    default = "The other system does not answer."


class PeerRefuses(PeerUnavailable):
    """Another system answers, but does not offer this service."""

    default = "The other system does not offer this service."


class PeerFailure(ClinicError):
    """Another system answered, but with a status that means no; ``status`` is that of PS3.7 C."""

    default = "The other system could not do what was asked."

    def __init__(self, message: str = "", *, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class GivenUp(ClinicError):
    """It was tried for as long as it makes sense; a person has to look."""

    default = "It was tried for a day without success."


class NotUnderstood(ClinicError):
    """Bytes that are no DICOM object we can index (PS3.4 B.2.3, status C000)."""

    default = "The object could not be understood."


class WrongInstance(ClinicError):
    """The object differs from what the peer announced (PS3.4 B.2.3, status A900)."""

    default = "The object does not match what was announced."


class StorageFull(ClinicError):
    """No room left to keep the object (PS3.4 B.2.3, status A700)."""

    default = "The archive is full."


class NotDisplayable(ClinicError):
    """The object holds no picture we can show; the message says why."""

    default = "This object has no picture to show."
