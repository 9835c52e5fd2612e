"""The listening socket and its TLS."""

import socket
import ssl
from typing import Any

from pynetdicom.transport import AddressInformation

from clinic_panel.config import Settings
from clinic_panel.errors import SettingsError

BACKLOG = 128


def bound_socket(settings: Settings) -> socket.socket:
    """Return a socket that listens at the address of the settings.

    Raises
    ------
    SettingsError
        The port is taken or may not be bound.
    """
    address: tuple[Any, ...] = (settings.dicom_host, settings.dicom_port)
    listening = socket.socket(AddressInformation.from_tuple(address).address_family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        where = f"{settings.dicom_host}:{settings.dicom_port}"
        raise SettingsError(f"Cannot listen on {where}: {error.strerror}.") from None
    listening.setblocking(False)  # another process may accept first
    return listening


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS configuration of the settings (PS3.15 B.12), or None for plain DICOM.

    Raises
    ------
    SettingsError
        A file is missing or does not fit.
    """
    if not settings.dicom_tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.dicom_tls_cert, settings.dicom_tls_key or None)
        if settings.dicom_tls_ca:
            context.load_verify_locations(settings.dicom_tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise SettingsError("The DICOM TLS certificate, key or authority cannot be read.") from None
    return context
