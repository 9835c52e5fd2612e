"""The report of one study: started from a template, written, signed, and read afterwards."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import param

from clinic_panel.components.part import Part
from clinic_panel.context import Context
from clinic_panel.documents.report_templates import templates_for
from clinic_panel.errors import ClinicError, Conflict, Invalid, Unauthenticated
from clinic_panel.imaging.subtraction import mask_wished
from clinic_panel.models.report import ReportStatus
from clinic_panel.models.user import Permission
from clinic_panel.services import report, report_pdf
from clinic_panel.services.report_content import SECTIONS, KeyImageRef, Texts

WRONG = "The password is not right."
MAX_SECTION = 64_000  # characters; the service refuses more

type Answer = dict[str, Any]


class ReportEditor(Part):
    """One report. In: ``ctx``, ``study_id``. Out: ``status``, ``key_images``, ``problem``.

    Text lives in the browser and is saved when the hands rest; what was not yet saved waits in the
    tab's own storage, under our number of the report, until it is. When two people write, the
    second sees both texts and chooses. The page calls ``refresh`` when reports changed.
    """

    _source = "report_editor"
    _rename = {
        "ctx": None,
        "study_id": None,
        "modalities": None,
        "description": None,
        "key_images": None,
        "problem": None,
    }

    ctx: Context = param.ClassSelector(
        class_=Context, constant=True, doc="Who writes, at which clinic."
    )
    study_id = param.Integer(default=None, allow_None=True, doc="Our number of the study.")
    modalities = param.String(doc="ModalitiesInStudy: which templates are offered.")
    description = param.String(doc="What was examined: which template is offered first.")
    pdf_url = param.String(default="/reports/{id}.pdf", doc="Where the PDF is; {id} the report's.")
    status = param.Selector(
        default="none",
        objects=["none", "draft", "signed"],
        doc="Out: where the report stands; the browser is told by ``shown``.",
    )
    key_images = param.List(
        item_type=dict, doc="Out: what will be printed: dicts of instance_id and zero-based frame."
    )
    problem = param.String(doc="Out: one sentence for the user; empty when all is well.")
    shown = param.Dict(default={}, doc="What the browser shows; derived.")

    _held = 0  # version of the text that the browser was told last

    @param.depends("study_id", watch=True, on_init=True)
    def reload(self) -> None:
        """Ask for the report again and show it as it is kept."""
        if self.study_id is None:
            self.param.update(shown={}, status="none", problem="", key_images=[])
            return
        try:
            state = report.state(self.ctx, self.study_id)
            if state.status is ReportStatus.SIGNED and state.report_id is not None:
                self._show_signed(report.signed(self.ctx, state.report_id))
            elif state.report_id is not None and self._writes:
                self._show_draft(report.draft(self.ctx, state.report_id))
            else:
                phase = "none" if state.report_id is None else "hidden"
                status = "none" if state.report_id is None else "draft"
                self._show(phase, status)
        except ClinicError as error:
            self._show("refused", "none", text=error.message)
            self.problem = error.message

    def refresh(self) -> None:
        """Take note that reports changed: signed elsewhere, or the PDF is ready. Text stays."""
        if self.study_id is None:
            return
        try:
            state = report.state(self.ctx, self.study_id)
        except ClinicError as error:
            self.problem = error.message
            return
        was = self.shown.get("phase")
        if state.status is ReportStatus.SIGNED and was != "signed":
            self.reload()
        elif state.signed is not None and was == "signed":
            self.shown = {**self.shown, **_came_of(state.signed)}
        elif state.report_id is not None and was == "none":
            self.reload()

    def choose(self, images: Sequence[KeyImageRef]) -> None:
        """Print these images, in this order; one already chosen stays as it was chosen.

        A report that was not started is started. What is being typed meanwhile is not touched.
        Where somebody else saved since, the browser is told first, and saves these with its text.
        """
        try:
            if self.shown.get("phase") == "none":
                self._begin("")
            if self.shown.get("phase") != "draft":
                return
            current = report.draft(self.ctx, self.shown["report_id"])
            before = {(kept.instance_id, kept.frame): kept for kept in current.key_images}
            chosen = tuple(before.get((one.instance_id, one.frame), one) for one in images)
            # Not `current.version`: the browser would save older words over a colleague's with it.
            was = self._held
            saved = report.save_draft(self.ctx, current.id, was, current.texts, chosen)
        except Conflict as error:
            self._send_msg(self._conflict(error, chosen))
            return
        except ClinicError as error:
            self.problem = error.message
            return
        self.param.update(key_images=_places(saved.key_images), problem="")
        self._send_msg({"kind": "images", "was": was, **self._saved(saved)})

    @property
    def _writes(self) -> bool:
        return self.ctx.may(Permission.REPORT_WRITE)

    def _handle_msg(self, data: dict[str, Any]) -> None:
        answers = {
            "start": self._start,
            "save": self._save,
            "sign": self._sign,
            "print": self._print_again,
        }
        answer = answers.get(str(data.get("kind")))
        if answer is not None:
            self._send_msg({"n": data.get("n"), **answer(data)})

    def _start(self, data: dict[str, Any]) -> Answer:
        try:
            self._begin(str(data.get("template", "")))
        except ClinicError as error:
            return {"kind": "refused", "text": error.message}
        return {"kind": "started"}

    def _begin(self, template: str) -> None:
        if self.study_id is None:
            return
        offered = templates_for(self.modalities, self.description)
        wanted = next((one for one in offered if one.name == template), None)
        started = report.open_draft(self.ctx, self.study_id, template=template if wanted else "")
        written = replace(started.texts, clinical_information="")
        if wanted is not None and written == Texts():  # never over what somebody wrote
            begun = replace(
                started.texts,
                technique=wanted.technique,
                findings=wanted.findings,
                impression=wanted.impression,
            )
            started = report.save_draft(self.ctx, started.id, started.version, begun)
        self._show_draft(started)

    def _print_again(self, data: dict[str, Any]) -> Answer:
        del data
        try:
            report_pdf.ask_again(self.ctx, int(self.shown.get("report_id", 0)))
            self.refresh()
        except ClinicError as error:
            self.problem = error.message
        return {"kind": "asked"}

    def _save(self, data: dict[str, Any]) -> Answer:
        try:
            return {"kind": "saved", **self._saved(self._keep(data))}
        except Conflict as error:
            return self._conflict(error)
        except ClinicError as error:
            return {"kind": "refused", "text": error.message, "field": _field(error)}

    def _sign(self, data: dict[str, Any]) -> Answer:
        """Save what the signer sees and sign exactly that."""
        try:
            kept = self._keep(data)
            version, password = kept.version, str(data.get("password", ""))[:1024]
            try:
                report.sign(self.ctx, kept.id, version, password)
            except Conflict:
                raise
            except ClinicError as error:
                # At the door it might be the name; here only the password can be wrong.
                text = WRONG if type(error) is Unauthenticated else error.message
                refusal = {"text": text, "field": _field(error)}
                return {"kind": "unsigned", **self._saved(kept), **refusal}
        except Conflict as error:
            return self._conflict(error)
        except ClinicError as error:
            return {"kind": "refused", "text": error.message, "field": _field(error)}
        self.reload()
        return {"kind": "signed"}

    def _keep(self, data: dict[str, Any]) -> report.Draft:
        given = data.get("texts")
        given = given if isinstance(given, dict) else {}
        texts = Texts(*(str(given.get(name) or "")[: MAX_SECTION + 1] for name, _ in SECTIONS))
        images = _images(data.get("key_images"))
        kept = report.save_draft(
            self.ctx, self.shown.get("report_id", 0), _whole(data.get("version")), texts, images
        )
        self.param.update(key_images=_places(kept.key_images), problem="")
        return kept

    def _conflict(self, error: Conflict, chosen: Sequence[KeyImageRef] | None = None) -> Answer:
        """Tell the browser what the other one wrote; it still holds what this one wrote.

        Images that were ``chosen`` just now join the other's, to be saved once the texts agree.
        """
        try:
            other = report.draft(self.ctx, self.shown["report_id"])
        except ClinicError as unreadable:
            return {"kind": "refused", "text": unreadable.message}
        if other.status is ReportStatus.SIGNED:
            self.reload()
            return {"kind": "overtaken", "text": error.message}
        answer = {"kind": "conflict", **self._saved(other), "texts": asdict(other.texts)}
        if chosen is not None:
            seen = {(place["instance_id"], place["frame"]) for place in self.key_images}
            seen |= {(image.instance_id, image.frame) for image in chosen}
            new = [one for one in other.key_images if (one.instance_id, one.frame) not in seen]
            answer["chosen"] = [asdict(image) for image in (*chosen, *new)]
        return answer

    def _saved(self, kept: report.Draft) -> Answer:
        """Say what is kept; from then on it is what the browser's next text grows from."""
        self._held = kept.version
        return {
            "version": kept.version,
            "at": self._clock_time(kept.changed_at),
            "by": kept.author_name,
            "key_images": [asdict(image) for image in kept.key_images],
        }

    def _show_draft(self, kept: report.Draft) -> None:
        self._show(
            "draft",
            "draft",
            report_id=kept.id,
            template=kept.template,
            texts=asdict(kept.texts),
            may_sign=self.ctx.may(Permission.REPORT_SIGN),
            **self._saved(kept),
        )
        self.key_images = _places(kept.key_images)

    def _show_signed(self, kept: report.SignedReport) -> None:
        version = kept.version
        at = version.signed_at.astimezone(self.ctx.zone)
        self._show(
            "signed",
            "signed",
            report_id=version.report_id,
            texts=asdict(kept.texts),
            key_images=[asdict(image) for image in kept.key_images],
            number=version.number,
            by=version.signed_by,
            at=f"{at.day} {at:%b %Y, %H:%M}",
            sha256=version.sha256,
            **_came_of(version),
            pdf_href=self.pdf_url.format(id=version.report_id),
        )
        self.key_images = _places(kept.key_images)

    def _show(self, phase: str, status: str, **more: Any) -> None:
        templates = templates_for(self.modalities, self.description)
        shown = {
            "phase": phase,
            "writes": self._writes,
            # Whose unsaved text it is, where one browser serves several people.
            "owner": self.ctx.actor.user_pk,
            "signer": self.ctx.actor.display_name or self.ctx.actor.username,
            "sections": [{"name": name, "label": label} for name, label in SECTIONS],
            "templates": [asdict(template) for template in templates],
            **more,
        }
        self.param.update(shown=shown, status=status, problem="")

    def _clock_time(self, moment: datetime) -> str:
        local = moment.astimezone(self.ctx.zone)
        if local.date() == self.ctx.today():
            return f"{local:%H:%M}"
        return f"{local.day} {local:%b, %H:%M}"


def _came_of(version: report.SignedVersion) -> dict[str, Any]:
    """Return what may still change beside a signed report."""
    return {
        "pdf_ready": version.pdf_ready,
        "pdf_failed": version.pdf_failed,
        "images_after": version.images_after,
    }


def _places(images: Sequence[KeyImageRef]) -> list[dict[str, int]]:
    return [{"instance_id": image.instance_id, "frame": image.frame} for image in images]


def _images(given: Any) -> tuple[KeyImageRef, ...] | None:
    """Read key images a browser sent; None when it sent none, as it does unless they changed."""
    if not isinstance(given, list):
        return None
    return tuple(
        KeyImageRef(
            instance_id=_whole(image.get("instance_id")),
            frame=_whole(image.get("frame")),
            window_center=_number(image.get("window_center")),
            window_width=_number(image.get("window_width")),
            caption=str(image.get("caption") or "")[:200],
            mask=mask_wished(image.get("mask")),
        )
        for image in given
        if isinstance(image, dict)
    )


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else -1


def _number(value: Any) -> float | None:
    if type(value) not in (int, float) or not abs(value) < 1e9:
        return None
    return float(value)


def _field(error: ClinicError) -> str:
    return error.field if isinstance(error, Invalid) else ""
