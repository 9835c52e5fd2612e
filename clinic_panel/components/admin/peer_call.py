"""Calling a device from a table: C-ECHO beside the page, and how it went in the device's row."""

from __future__ import annotations

from collections.abc import Callable

from clinic_panel.components.background import Background
from clinic_panel.components.notice import Notice
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import peers
from clinic_panel.services.peers import PeerRow


class PeerCalls:
    """The calls of one table; ``said`` is by peer how the last one went."""

    def __init__(self, ctx: Context, notice: Notice, show: Callable[[], None]) -> None:
        """Prepare to call.

        Parameters
        ----------
        show
            Called when a line has changed.
        """
        self.said: dict[int, str] = {}
        self._ctx, self._notice, self._show = ctx, notice, show

    def call(self, row: PeerRow) -> None:
        """Call a device; the answer comes into its row."""

        def tell(outcome: float | ClinicError) -> None:
            at = f"{self._ctx.clock().astimezone(self._ctx.zone):%H:%M:%S}"
            if isinstance(outcome, ClinicError):
                self.said[row.id] = f"{at}: {outcome.message}"
                self._notice.say(outcome.message, "problem")
            else:
                self.said[row.id] = f"{at}: answered in {outcome * 1000:.0f} ms"
                self._notice.say(f"{row.room_name or row.peer_name} answers.", "success")
            self._show()

        self.said[row.id] = "Calling …"
        self._show()
        # Of its own: the answer of one device is wanted though another was called meanwhile.
        Background().ask(lambda: peers.test(self._ctx, row.id), tell)
