"""How a device reaches this clinic: what a service engineer types into it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from clinic_panel.context import Context
from clinic_panel.services.catalogue import RoomRow

type Block = dict[str, Any]


def address(ctx: Context) -> str:
    """Return where the clinic's DICOM port is reached: as set, else this machine's own address."""
    host = str(ctx.settings.dicom_host)
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # no packet leaves: the system only picks a route
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def where_to_call(ctx: Context, station: str = "") -> Block:
    """Return the settings of a device as labelled values."""
    settings = ctx.settings
    items = [
        {"label": "Called (remote) AE title", "value": settings.ae_title},
        {"label": "Address of the clinic", "value": address(ctx)},
        {"label": "Port", "value": str(settings.dicom_port)},
        {"label": "TLS", "value": "on" if settings.dicom_tls_cert else "off"},
    ]
    if station:
        items.append({"label": "The device's own AE title", "value": station})
    return {"kind": "facts", "label": "Settings of the device", "items": items}


def empty_text(ctx: Context, *, is_today: bool) -> str:
    """Return what stands where no device has called."""
    day = "No device has called today." if is_today else "No device called on this day."
    settings = ctx.settings
    return (
        f"{day}\nAt the device, set AE title {settings.ae_title}, address {address(ctx)}, "
        f"port {settings.dicom_port}; then let it verify (C-ECHO)."
    )


def content(ctx: Context, rooms: Iterable[RoomRow]) -> Block:
    """Return all that is needed to connect a device."""
    unknown = (
        "Any AE title may call."
        if ctx.settings.unknown_ae == "accept"
        else "Only these titles may call, and those under Admin → Devices."
    )
    steps = [
        "Type the values above into the device, for the worklist, storage, MPPS and commitment.",
        "Give the device the AE title of the room that it stands in.",
        "Let it verify (C-ECHO): a line appears on this page within a second.",
        "Refresh its worklist, and open the new line to see what it asked for.",
    ]
    return {
        "key": "connect",
        "title": "Connect a device",
        "note": "What is set at the device",
        "blocks": [
            where_to_call(ctx),
            {"kind": "steps", "items": steps},
            {"kind": "heading", "text": "Rooms", "note": unknown},
            {
                "kind": "table",
                "label": "Rooms and their AE titles",
                "columns": ["Room", "Modality", "AE title of its device"],
                "rows": [[r.room_name, r.modality, r.station_ae_title or "none"] for r in rooms],
            },
        ],
    }
