"""What a reader does with a study beside reading it: saved as DICOM, printed, handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.linked import LABEL, TakeStudy
from clinic_panel.components.notice import Notice
from clinic_panel.components.tasks import Done
from clinic_panel.components.viewer.offers import Desk, Offer
from clinic_panel.components.viewer.printing import Film, Picture
from clinic_panel.components.viewer.teaching import TeachingCase
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.evidence.order import DocumentKind, KeyTitle
from clinic_panel.models.user import Permission
from clinic_panel.services import evidence, linked, markup
from clinic_panel.services.evidence import Holding, Standing

NAMES: Final = {
    DocumentKind.MEASUREMENTS: "Structured report",
    DocumentKind.PRESENTATION: "Presentation state",
    DocumentKind.KEY_OBJECTS: "Key objects",
}


class Sharing:
    """Ties one viewer to what can be done with its study."""

    def __init__(
        self,
        ctx: Context,
        study_id: int,
        viewer: StudyViewer,
        form: FormDialog,
        notice: Notice,
        *,
        keep: Callable[[], Any],
    ) -> None:
        """Offer what the actor may do.

        Parameters
        ----------
        form
            Asks how it is to be done.
        keep
            Keeps the view as it is now.
        """
        self._desk, self._keep = Desk(ctx, study_id, viewer, form, notice), keep
        offers: list[Offer] = [Film(self._desk), Picture(self._desk)]
        if ctx.may(Permission.DEIDENTIFIED_EXPORT):
            offers.append(TeachingCase(self._desk))
        if ctx.may(Permission.STUDY_LINK):
            offers.append(Booking(self._desk))
        if ctx.may(Permission.IMAGE_READ, Permission.REPORT_WRITE):
            offers.insert(0, Dicom(self._desk))
        self._offers = {one.offer["id"]: one for one in offers}
        viewer.offers = [one.offer for one in offers]
        viewer.param.watch(self._asked, "asked")

    def _asked(self, event: Any) -> None:
        if event.new is None:
            return
        self._keep()
        try:
            self._offers[event.new["what"]].ask(event.new["view"])
        except ClinicError as error:
            self._desk.say(error.message, "problem")

    def refresh(self) -> None:
        """Look whether what is waited for is done; the page calls it when something changed."""
        try:
            self._desk.refresh()
        except ClinicError:
            return  # looked at again with the next change


class Booking(Offer):
    """The study taken from a booking it does not belong to."""

    offer: ClassVar = {
        "id": "take",
        "label": LABEL,
        "hint": "These images are of another person or visit",
    }

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ask(self, view: dict[str, Any] | None) -> None:
        """Say what would be taken from which booking."""
        del view
        desk = self._desk
        task = TakeStudy(desk.ctx, linked.of_study(desk.ctx, desk.study_id))

        def take(values: dict[str, Any]) -> None:
            try:
                done = task.submit(values, frozenset())
            except ClinicError as error:
                desk.form.refuse(error.message)
                return
            desk.form.close()
            if isinstance(done, Done):
                desk.say(done.text, "success")

        desk.ask(
            task.fields(),
            take,
            title=task.title,
            intro=task.intro,
            submit_label=task.submit_label,
            danger=task.danger,
        )


class Dicom(Offer):
    """Measurements, presentation and key images, as objects of the study."""

    offer: ClassVar = {
        "id": "dicom",
        "label": "Save as DICOM…",
        "hint": "Measurements, presentation and key images, into the archive",
    }

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ask(self, view: dict[str, Any] | None) -> None:
        """Say what would be saved, and ask why key images were chosen."""
        del view
        desk = self._desk
        holdings = evidence.standing(desk.ctx, desk.study_id, desk.places)
        if all(holding.standing is Standing.NOTHING for holding in holdings):
            desk.say("Nothing to save yet: measure or draw, or mark key images.", "info")
            return
        fields: list[dict[str, Any]] = [
            {"kind": "note", "label": self._line(holding)} for holding in holdings
        ]
        if any(one.section for one in markup.of_study(desk.ctx, desk.study_id).shapes):
            text = (
                "Measurements on sections: placed in the patient, in the structured report only; "
                "their values are taken from the original slices."
            )
            fields.append({"kind": "note", "label": text})
        if desk.places:
            fields.append(
                {
                    "name": "title",
                    "kind": "select",
                    "label": "Key images were chosen",
                    "options": [title.value for title in KeyTitle],
                    "value": evidence.title_of(desk.ctx, desk.study_id).value,
                    "required": True,
                }
            )
        desk.ask(
            fields,
            self._save,
            title="Save as DICOM",
            intro="New objects of this study: in the archive, and for peers that get its images.",
            submit_label="Save",
        )

    def _line(self, holding: Holding) -> str:
        name = NAMES[holding.kind]
        if holding.standing is Standing.NOTHING:
            return f"{name}: nothing to save."
        what = []
        if holding.kind is DocumentKind.MEASUREMENTS:
            what.append(_count(holding.shapes, "measurement"))
        else:
            what.append(_count(holding.images, "image"))
            if holding.shapes:
                what.append(f"{_count(holding.shapes, 'measurement')} drawn")
        return f"{name}: {', '.join(what)}. {self._said(holding)}".strip()

    def _said(self, holding: Holding) -> str:
        at = ""
        if holding.saved_at is not None:
            local = holding.saved_at.astimezone(self._desk.ctx.zone)
            at = f"{local.day} {local:%b %Y, %H:%M}"
        match holding.standing:
            case Standing.SAVED:
                return f"Saved {at}, unchanged since."
            case Standing.CHANGED:
                return f"Changed since it was saved {at}: the next version."
            case Standing.MAKING:
                return "Being saved."
            case Standing.FAILED:
                return f"Could not be saved: {holding.error or 'please ask for help.'}"
            case _:
                return ""

    def _save(self, values: dict[str, Any]) -> None:
        desk, title = self._desk, values.get("title")
        try:
            holdings = evidence.save(
                desk.ctx, desk.study_id, desk.places, title=KeyTitle(title) if title else None
            )
        except ClinicError as error:
            desk.form.refuse(error.message)
            return
        desk.form.close()
        if not _finished(desk, holdings):
            desk.say("Saving as DICOM…", "info")
            desk.follow(_look)


def _look(desk: Desk) -> bool:
    return _finished(desk, evidence.standing(desk.ctx, desk.study_id, desk.places))


def _finished(desk: Desk, holdings: tuple[Holding, ...]) -> bool:
    if any(one.standing is Standing.MAKING for one in holdings):
        return False
    failed = [one for one in holdings if one.standing is Standing.FAILED]
    saved = [NAMES[one.kind].lower() for one in holdings if one.standing is Standing.SAVED]
    if failed:
        reason = failed[0].error or "Please ask for help."
        desk.say(f"{NAMES[failed[0].kind]} could not be saved. {reason}", "problem")
    else:
        desk.say(f"Saved in the archive: {', '.join(saved)}.", "success")
    return True


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
