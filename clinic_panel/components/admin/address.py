"""What the forms of a device and of a room ask alike: where it is, and how it is called."""

from __future__ import annotations

from clinic_panel.components.tasks import Field, Values
from clinic_panel.errors import Invalid
from clinic_panel.services.peers import PeerRow


def where_fields(device: PeerRow | None, why: str) -> list[Field]:
    """Ask for host and port; ``why`` says what they are needed for."""
    return [
        {
            "name": "host",
            "label": "Host name or address",
            "value": device.host if device else "",
            "width": "half",
            "help": why,
        },
        {
            "name": "port",
            "label": "Port",
            "kind": "number",
            "value": str(device.port if device else 104),
            "width": "half",
        },
    ]


def calling_fields(device: PeerRow | None) -> list[Field]:
    """Ask how it wants to be called."""
    return [
        {
            "name": "uses_tls",
            "label": "Encrypt when calling it (TLS)",
            "kind": "checkbox",
            "value": bool(device and device.uses_tls),
        },
        {
            "name": "reports_on_same",
            "label": "It wants storage commitment results on the association that asked",
            "kind": "checkbox",
            "value": bool(device and device.reports_on_same),
        },
    ]


def port_in(values: Values) -> int:
    """Return the port that was typed.

    Raises
    ------
    Invalid
        It is no number; whether it is a port, the service says.
    """
    if not str(values["port"]).isdigit():
        raise Invalid("A port is between 1 and 65535.", field="port")
    return int(values["port"])
