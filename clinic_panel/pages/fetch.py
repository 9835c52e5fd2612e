"""Other archives: what they have of a patient, and having it sent here."""

from __future__ import annotations

from typing import Any

from clinic_panel.components.background import Background
from clinic_panel.components.board import Board
from clinic_panel.components.fetch_rows import (
    FOUND_COLUMNS,
    TRANSFER_COLUMNS,
    SearchArchive,
    found_line,
    transfer_line,
)
from clinic_panel.components.heading import Heading
from clinic_panel.components.live import Live
from clinic_panel.components.tasks import Done, TaskDialog
from clinic_panel.context import Context
from clinic_panel.dimse.model import StudyQuery
from clinic_panel.errors import ClinicError
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import fetching
from clinic_panel.services.fetching import Findings

PATH = "/fetch"
TITLE = "Other archives"
PERMISSION = Permission.IMAGE_READ
SEARCH = {"id": "search", "label": "Search", "icon": "search", "primary": True}


def page(ctx: Context, live: Live) -> Any:
    """Build the page; transfers are followed as they go."""
    archives = OtherArchives(ctx)
    live.on(Topic.STUDIES, archives.reload)
    return framed(
        ctx,
        TITLE,
        "fetch",
        top=[archives.heading],
        main=[archives.found, archives.transfers],
        overlays=archives.tasks.parts,
    )


class OtherArchives:
    """A search, its findings, and the transfers."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.findings: Findings | None = None
        # Rows are numbered on and on: a press on a row of the answer before finds no other study.
        self.first = self.next = 0
        self.background = Background()
        self.tasks = TaskDialog(self.reload)
        self.heading = Heading(title=TITLE)
        is_known = bool(fetching.archives(ctx))
        self.found = Board(
            title="Found there",
            columns=FOUND_COLUMNS,
            buttons=[SEARCH] if is_known else [],
            empty_text="Search another archive for earlier studies of a patient."
            if is_known
            else "No other archive is known here.\nAn administrator adds it under Admin, Devices.",
        )
        self.transfers = Board(
            title="Transfers",
            columns=TRANSFER_COLUMNS,
            empty_text="Nothing was fetched yet.",
        )
        self.found.param.watch(self._acted, "action")
        self.transfers.param.watch(self._acted, "action")
        self.reload()

    def reload(self) -> None:
        """Show how far the transfers are."""
        try:
            rows = fetching.transfers(self.ctx)
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")
            return
        self.transfers.rows = [transfer_line(self.ctx, row) for row in rows]

    def _acted(self, event: Any) -> None:
        if event.new is None:
            return
        if event.new["action"] == "search":
            self.tasks.open(SearchArchive(self.ctx, self.search))
        elif event.new["action"] == "fetch":
            self.tasks.attempt(lambda: self._fetch(event.new["id"]))

    def search(self, peer_id: int, query: StudyQuery) -> None:
        """Ask; the answer comes into the table."""
        self.found.busy = True
        self.found.footer = "Asking the archive …"
        self.background.ask(lambda: fetching.find(self.ctx, peer_id, query), self._show)

    def _show(self, outcome: Findings | ClinicError) -> None:
        self.found.busy = False
        if isinstance(outcome, ClinicError):
            self.found.footer = outcome.message
            self.tasks.notice.say(outcome.message, "problem")
            return
        self.findings = outcome
        self.first, self.next = self.next, self.next + len(outcome.found)
        numbered = enumerate(outcome.found, self.first)
        self.found.rows = [found_line(number, each) for number, each in numbered]
        self.found.empty_text = f"{outcome.peer_name} has no study that matches."
        self.found.footer = (
            f"{outcome.peer_name} has more than these: search more narrowly."
            if outcome.is_cut
            else ""
        )

    def _fetch(self, number: int) -> Done:
        if self.findings is None:
            return Done("")
        study = self.findings.found[number - self.first].study
        fetching.fetch(self.ctx, self.findings.peer_id, study)
        return Done(f"{self.findings.peer_name} is asked to send the study.")
