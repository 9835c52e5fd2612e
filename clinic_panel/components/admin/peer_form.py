"""The form of another archive or device."""

from __future__ import annotations

from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Invalid, Unconfirmed
from clinic_panel.services import peers
from clinic_panel.services.peers import PeerForm, PeerRow


class EditPeer(Task):
    """Another archive or device."""

    submit_label = "Save"

    def __init__(self, ctx: Context, row: PeerRow | None = None) -> None:
        self.ctx, self.row = ctx, row
        self.title = "Add a device" if row is None else "Edit a device"  # type: ignore[misc]

    def fields(self) -> list[Field]:
        """Ask for the names it goes by and where it is."""
        row = self.row
        return [
            {
                "name": "peer_name",
                "label": "Name",
                "required": True,
                "value": row.peer_name if row else "",
                "width": "half",
            },
            {
                "name": "ae_title",
                "label": "AE title",
                "required": True,
                "value": row.ae_title if row else "",
                "width": "half",
            },
            {
                "name": "host",
                "label": "Host name or address",
                "value": row.host if row else "",
                "width": "half",
                "help": "Needed when we call it: to forward, or to report what is safe.",
            },
            {
                "name": "port",
                "label": "Port",
                "kind": "number",
                "value": str(row.port if row else 104),
                "width": "half",
            },
            {
                "name": "forwards",
                "label": "Forward every new study there",
                "kind": "checkbox",
                "value": bool(row and row.forwards),
            },
            {
                "name": "commits",
                "label": "Ask it to confirm what it was sent (storage commitment)",
                "kind": "checkbox",
                "value": bool(row and row.commits),
            },
            {
                "name": "uses_tls",
                "label": "Encrypt when calling it (TLS)",
                "kind": "checkbox",
                "value": bool(row and row.uses_tls),
            },
            {
                "name": "reports_on_same",
                "label": "Wants storage commitment results on the association that asked",
                "kind": "checkbox",
                "value": bool(row and row.reports_on_same),
            },
            {
                "name": "is_active",
                "label": "May call and be called",
                "kind": "checkbox",
                "value": row.is_active if row else True,
            },
        ]

    def submit(self, values: Values, agreed: frozenset[type[Unconfirmed]]) -> Done | Task:
        """Keep it."""
        del agreed
        if not str(values["port"]).isdigit():
            raise Invalid("A port is between 1 and 65535.", field="port")
        form = PeerForm(
            peer_name=values["peer_name"],
            ae_title=values["ae_title"],
            host=values["host"],
            port=int(values["port"]),
            forwards=bool(values["forwards"]),
            is_active=bool(values["is_active"]),
            uses_tls=bool(values["uses_tls"]),
            reports_on_same=bool(values["reports_on_same"]),
            commits=bool(values["commits"]),
        )
        if self.row is None:
            peers.add(self.ctx, form)
            return Done("The device may call from now on.")
        peers.change(self.ctx, self.row.id, self.row.version, form)
        return Done("Saved.")
