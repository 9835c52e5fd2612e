"""The form of another archive or device."""

from __future__ import annotations

from clinic_panel.components.admin.address import calling_fields, port_in, where_fields
from clinic_panel.components.tasks import Done, Field, Task, Values
from clinic_panel.context import Context
from clinic_panel.errors import Unconfirmed
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
            *where_fields(
                row, "Needed when we call it: to forward, to tell, or to report what is safe."
            ),
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
                "name": "notifies",
                "label": "Tell it of every study that is here (availability notification)",
                "kind": "checkbox",
                "value": bool(row and row.notifies),
            },
            *calling_fields(row),
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
        form = PeerForm(
            peer_name=values["peer_name"],
            ae_title=values["ae_title"],
            host=values["host"],
            port=port_in(values),
            forwards=bool(values["forwards"]),
            is_active=bool(values["is_active"]),
            uses_tls=bool(values["uses_tls"]),
            reports_on_same=bool(values["reports_on_same"]),
            commits=bool(values["commits"]),
            notifies=bool(values["notifies"]),
        )
        if self.row is None:
            peers.add(self.ctx, form)
            return Done("The device may call from now on.")
        peers.change(self.ctx, self.row.id, self.row.version, form)
        return Done("Saved.")
