"""For the administrator: accounts, audit, jobs, warnings, devices, the clinic itself."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import panel as pn

from clinic_panel.components.admin.accounts import Accounts
from clinic_panel.components.admin.archive_warnings import ArchiveWarnings
from clinic_panel.components.admin.audit_log import AuditLog
from clinic_panel.components.admin.devices import Devices
from clinic_panel.components.admin.job_list import JobList
from clinic_panel.components.admin.letterhead import LetterheadSettings
from clinic_panel.components.admin.rooms import Rooms
from clinic_panel.components.admin.section import Section
from clinic_panel.components.admin.service_check import ServiceCheck
from clinic_panel.components.heading import Heading
from clinic_panel.components.live import Live
from clinic_panel.components.tab_bar import TabBar
from clinic_panel.components.tasks import TaskDialog
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Permission
from clinic_panel.pages.frame import framed
from clinic_panel.services import dicom, jobs

PATH = "/admin"
TITLE = "Admin"
PERMISSION = Permission.ADMIN

SECTIONS: tuple[type[Section], ...] = (
    Accounts,
    AuditLog,
    JobList,
    ArchiveWarnings,
    Rooms,
    Devices,
    ServiceCheck,
    LetterheadSettings,
)


def page(ctx: Context, live: Live) -> Any:
    """Build the page at the section its address names by ``tab``."""
    admin = Administration(ctx)
    for topic in (Topic.ADMIN, Topic.JOBS, Topic.STUDIES):
        live.on(topic, partial(admin.heard, topic))
    return framed(
        ctx,
        TITLE,
        "admin",
        main=[admin.heading, admin.tabs, admin.body],
        overlays=admin.tasks.parts,
    )


class Administration:
    """The tabs, and the one section that is open."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.tasks = TaskDialog(self.reload)
        self.sections = {kind.id: kind(ctx, self.tasks) for kind in SECTIONS}
        self.heading = Heading(title=TITLE)
        [asked] = pn.state.session_args.get("tab", [b""])[:1]
        wanted = asked.decode(errors="replace")
        self.tabs = TabBar(active=wanted if wanted in self.sections else Accounts.id)
        self.body = pn.Column(sizing_mode="stretch_width", margin=0, styles={"gap": "16px"})
        self.tabs.param.watch(self._opened, "active")
        self._show()

    def heard(self, topic: Topic) -> None:
        """Follow a change, if the open section or a tab's figure shows it."""
        if topic in self.sections[self.tabs.active].topics:
            self.reload()
        else:
            self._count()

    def reload(self) -> None:
        """Bring the open section and the tabs' figures up to date."""
        try:
            self.sections[self.tabs.active].reload()
        except ClinicError as error:
            self.tasks.notice.say(error.message, "problem")
        self._count()

    def _count(self) -> None:
        with suppress(ClinicError):  # a figure that cannot be read stays as it was
            self.tabs.tabs = self._entries()

    def _opened(self, event: Any) -> None:
        if event.new not in self.sections:
            self.tabs.active = event.old
            return
        if pn.state.location is not None:
            pn.state.location.update_query(tab=event.new)
        self._show()

    def _show(self) -> None:
        parts = self.sections[self.tabs.active].parts
        self.reload()
        self.body.objects = parts

    def _entries(self) -> list[dict[str, Any]]:
        counts = {
            JobList.id: len(jobs.failed_jobs(self.ctx)),
            ArchiveWarnings.id: len(dicom.conflicts(self.ctx)),
        }
        return [
            {"id": kind.id, "label": kind.label, "count": counts.get(kind.id, 0), "tone": "red"}
            for kind in SECTIONS
        ]
