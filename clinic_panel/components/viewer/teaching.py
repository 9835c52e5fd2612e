"""A case for teaching: images of the study that leave without the person."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from clinic_panel.components.viewer.offers import HANDOUT_URL, Desk, Follow, Offer
from clinic_panel.errors import ClinicError, Invalid
from clinic_panel.imaging.measure import Shape
from clinic_panel.services import export, handout
from clinic_panel.services.export import Made, Teaching
from clinic_panel.services.handout import Progress

WHICH: Final = {
    "study": "The whole study",
    "series": "The series shown",
    "key": "Key images",
}
MOST_REASONS: Final = 2  # in one passing message; the form and the file say all


class TeachingCase(Offer):
    """A ZIP with a DICOMDIR, de-identified."""

    offer: ClassVar = {
        "id": "teaching",
        "label": "Teaching export…",
        "hint": "DICOM without name, numbers and dates, as ZIP",
    }

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last: tuple[str, Made] | None = None

    def ask(self, view: dict[str, Any] | None) -> None:
        """Ask which images leave, and whether somebody looked at them."""
        del view
        options = [{"value": key, "label": label} for key, label in WHICH.items()]
        fields: list[dict[str, Any]] = [
            {"name": "case", "kind": "text", "label": "Case name", "max_length": 64}
            | {"placeholder": "Teaching 12"}
            | {"help": "Stands for name and patient ID; empty: one is made up."},
            {"name": "which", "kind": "select", "label": "Images", "required": True}
            | {"options": options, "value": "study"},
        ]
        if self._rectangles():
            fields.append(
                {"name": "black", "kind": "checkbox", "value": False}
                | {"label": "Black out what my rectangles enclose"}
                | {"help": "In all images of the series that a rectangle is drawn in."}
            )
        fields.append(
            {"name": "looked", "kind": "checkbox", "value": False}
            | {"label": "I looked: no name is written into the images"}
            | {
                "help": "Otherwise ultrasound, screen captures and photographs are left out. "
                "Rectangles that you draw on them can be blacked out instead."
            }
        )
        fields += self._result()
        self._desk.ask(
            fields,
            self._submit,
            title="Teaching export",
            intro="Text, private data, overlays and documents stay here; dates are moved. "
            "A scan of a head can still show a face.",
            submit_label="Make ZIP",
        )

    def _rectangles(self) -> bool:
        return any(one["kind"] == Shape.RECTANGLE.value for one in self._desk.viewer.measurements)

    def _result(self) -> list[dict[str, Any]]:
        """Say what was left out of the last one."""
        if self._last is None or not self._last[1].left:
            return []
        case, made = self._last
        head = {"kind": "section", "label": f"Left out of {case}, the last one"}
        return [head, *({"kind": "note", "label": line} for line in lines_of(made))]

    def _submit(self, values: dict[str, Any]) -> None:
        desk = self._desk
        wanted = Teaching(
            instance_ids=self._instances(values["which"]),
            case=values["case"],
            looked=values["looked"],
            black_out=bool(values.get("black")),
        )
        try:
            made = export.ask(desk.ctx, desk.study_id, wanted)
        except Invalid as error:
            if error.field:
                desk.form.refuse(**{error.field: error.message})
            else:
                desk.form.refuse(error.message)
            return
        except ClinicError as error:
            desk.form.refuse(error.message)
            return
        desk.form.close()
        desk.follow(self._following(made))

    def _instances(self, which: str) -> tuple[int, ...]:
        desk = self._desk
        if which == "key":
            return tuple(dict.fromkeys(instance_id for instance_id, _ in desk.places))
        if which == "series":
            return tuple(dict.fromkeys(instance_id for instance_id, _ in desk.viewer.stack()))
        return export.instances_of(desk.ctx, desk.study_id)

    def _following(self, handout_id: int) -> Follow:
        said: list[bool] = []

        def look(desk: Desk) -> bool:
            state = handout.state(desk.ctx, handout_id)
            if state.progress is Progress.READY:
                self._last = case, made = export.made_of(desk.ctx, handout_id)
                href = HANDOUT_URL.format(id=handout_id)
                kind = "warning" if made.left else "success"
                desk.notice.say(f"{case}: {sentence_of(made)}", kind, "Download ZIP", href)
            elif state.progress is Progress.FAILED:
                reason = state.error or "Please ask for help."
                desk.say(f"The teaching export could not be made. {reason}", "problem")
            elif not said:
                said.append(True)
                desk.say("The teaching export is being made…", "info")
            return state.progress is not Progress.MAKING

        return look


def sentence_of(made: Made) -> str:
    """Say in a line what came of it, and the first reasons for what is missing."""
    said = f"{_count(made.objects, 'object')} ready."
    if not made.left:
        return said
    missing = sum(one.count for one in made.left)
    reasons = list(dict.fromkeys(one.reason for one in made.left))
    more = " README.TXT says why." if len(reasons) > MOST_REASONS else ""
    return f"{said} {missing} left out: {' '.join(reasons[:MOST_REASONS])}{more}"


def lines_of(made: Made) -> list[str]:
    """Say of each series what was left out of it, and why."""
    return [f"{one.series}: {_count(one.count, 'object')}. {one.reason}" for one in made.left]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
