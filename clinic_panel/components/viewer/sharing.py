"""What a reader does with a study beside reading it: saved as DICOM, printed, handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from clinic_panel.components.form_dialog import FormDialog
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.evidence.order import DocumentKind, KeyTitle
from clinic_panel.models.user import Permission
from clinic_panel.services import evidence
from clinic_panel.services.evidence import Holding, Standing

type Say = Callable[[str, str], Any]

NAMES: Final = {
    DocumentKind.MEASUREMENTS: "Structured report",
    DocumentKind.PRESENTATION: "Presentation state",
    DocumentKind.KEY_OBJECTS: "Key objects",
}
DICOM: Final = {
    "id": "dicom",
    "label": "Save as DICOM…",
    "hint": "Measurements, presentation and key images, into the archive",
}


class Sharing:
    """Ties one viewer to what can be done with its study."""

    def __init__(
        self,
        ctx: Context,
        study_id: int,
        viewer: StudyViewer,
        form: FormDialog,
        *,
        say: Say,
        keep: Callable[[], Any],
    ) -> None:
        """Offer what the actor may do.

        Parameters
        ----------
        form
            Asks how it is to be done.
        say
            Shows a sentence and its tone.
        keep
            Keeps the view as it is now.
        """
        self._ctx, self._study_id, self._viewer, self._form = ctx, study_id, viewer, form
        self._say, self._keep = say, keep
        self._submit: Callable[[dict[str, Any]], None] = lambda _: None
        self._waits = False  # for documents that are being made
        offers = []
        if ctx.may(Permission.IMAGE_READ, Permission.REPORT_WRITE):
            offers.append(DICOM)
        viewer.offers = offers
        viewer.param.watch(self._asked, "asked")
        form.param.watch(lambda event: self._submit(event.new), "submitted")

    def _asked(self, event: Any) -> None:
        if event.new is None:
            return
        self._keep()
        try:
            if event.new["what"] == DICOM["id"]:
                self._ask_dicom()
        except ClinicError as error:
            self._say(error.message, "problem")

    # -- DICOM ---------------------------------------------------------------------------------

    @property
    def _places(self) -> list[tuple[int, int]]:
        return [(one["instance_id"], one["frame"]) for one in self._viewer.key_images]

    def _ask_dicom(self) -> None:
        holdings = evidence.standing(self._ctx, self._study_id, self._places)
        fields: list[dict[str, Any]] = [
            {"kind": "note", "label": self._line(holding)} for holding in holdings
        ]
        if self._places:
            fields.append(
                {
                    "name": "title",
                    "kind": "select",
                    "label": "Key images were chosen",
                    "options": [title.value for title in KeyTitle],
                    "value": evidence.title_of(self._ctx, self._study_id).value,
                    "required": True,
                }
            )
        self._submit = self._save
        self._form.ask(
            fields,
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
            local = holding.saved_at.astimezone(self._ctx.zone)
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
        title = values.get("title")
        try:
            holdings = evidence.save(
                self._ctx,
                self._study_id,
                self._places,
                title=KeyTitle(title) if title else None,
            )
        except ClinicError as error:
            self._form.refuse(error.message)
            return
        self._form.close()
        self._waits = True
        if not self._finish(holdings):
            self._say("Saving as DICOM…", "info")

    def refresh(self) -> None:
        """Look whether what is being saved is done; the page calls it when something changed."""
        if not self._waits:
            return
        try:
            self._finish(evidence.standing(self._ctx, self._study_id, self._places))
        except ClinicError:
            return  # asked again with the next change

    def _finish(self, holdings: tuple[Holding, ...]) -> bool:
        if any(one.standing is Standing.MAKING for one in holdings):
            return False
        self._waits = False
        failed = [one for one in holdings if one.standing is Standing.FAILED]
        saved = [NAMES[one.kind].lower() for one in holdings if one.standing is Standing.SAVED]
        if failed:
            reason = failed[0].error or "Please ask for help."
            self._say(f"{NAMES[failed[0].kind]} could not be saved. {reason}", "problem")
        else:
            self._say(f"Saved in the archive: {', '.join(saved)}.", "success")
        return True


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
