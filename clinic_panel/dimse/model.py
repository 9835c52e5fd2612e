"""What is passed to and from the services of this package; loads no DICOM library."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from clinic_panel.config import Settings
from clinic_panel.errors import SettingsError


@dataclass(frozen=True)
class Caller:
    """Who we are, and the TLS files of the settings."""

    ae_title: str
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Caller:
        """Return what the settings say."""
        return cls(
            settings.ae_title,
            settings.dicom_tls_cert,
            settings.dicom_tls_key,
            settings.dicom_tls_ca,
        )

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS configuration for calls (PS3.15 B.12): the other side must prove who it is.

        Raises
        ------
        SettingsError
            A file is missing or does not fit, or no authority is set: those of the web would let
            anyone who has a web site pose as the device.
        """
        if not self.tls_ca:
            raise SettingsError(
                "CLINIC_DICOM_TLS_CA is needed to call with TLS: the authority of the devices."
            )
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # Certificates of devices name the device, seldom the address it has today.
            context.check_hostname = False
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key or None)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "The DICOM TLS certificate, key or authority cannot be read."
            ) from None
        return context


@dataclass(frozen=True, slots=True)
class Remote:
    """Another application entity, and where it listens."""

    ae_title: str
    host: str
    port: int
    uses_tls: bool = False


@dataclass(frozen=True, slots=True)
class Available:
    """A study that is here: its objects by series, and the performed steps that made them."""

    study_instance_uid: str
    series: tuple[tuple[str, tuple[Reference, ...]], ...]
    steps: tuple[str, ...] = ()

    @property
    def number_of_instances(self) -> int:
        """How many objects it has."""
        return sum(len(references) for _, references in self.series)


# Event Type ID of a storage commitment result (PS3.4 Table J.3-2).
SUCCESSFUL, FAILURES_EXIST = 1, 2
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CLASS_CONFLICT = 0x0119
CLASS_NOT_SUPPORTED = 0x0122
DUPLICATE_TRANSACTION = 0x0131
NO_RESOURCES = 0x0213
# Failure Reason (0008,1197) and when it is given (PS3.3 C.14.1.1).
FAILURE_REASONS: Mapping[int, str] = {
    PROCESSING_FAILURE: "The stored bytes are damaged or cannot be read.",
    NO_SUCH_INSTANCE: "The instance is not in the archive.",
    CLASS_CONFLICT: "The instance is stored under another SOP Class.",
    CLASS_NOT_SUPPORTED: "The SOP Class is none that is stored here.",
    DUPLICATE_TRANSACTION: "The Transaction UID was used for other instances before.",
    NO_RESOURCES: "The request names more instances than are taken at once.",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance somebody wants to be sure of."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """What one N-ACTION asks for."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one N-EVENT-REPORT says: every instance of the request, safe or not."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()

    @property
    def event_type(self) -> int:
        """Event Type ID."""
        return FAILURES_EXIST if self.failed else SUCCESSFUL


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """What to look for in another archive; empty matches everything."""

    patient_id: str = ""
    patient_name: str = ""  # the beginning of it
    first_day: date | None = None
    last_day: date | None = None
    modality: str = ""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study of another archive, as it says; dates as on the wire."""

    study_instance_uid: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    study_date: str
    study_description: str
    accession_number: str
    modalities: str
    instances: int | None


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """How far a transfer has come, in instances; those with a warning are completed."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
