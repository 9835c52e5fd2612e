"""The reading area: series rail, tools and viewport in one component that paints in the browser."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import param
from param.parameterized import discard_events

from clinic_panel.components.script import Script
from clinic_panel.components.viewer import errands
from clinic_panel.components.viewer.figures import Figures
from clinic_panel.components.viewer.palettes import PALETTES, USUAL, packed
from clinic_panel.config import NOTICE
from clinic_panel.errors import ClinicError, NotDisplayable
from clinic_panel.imaging.frame import Frame
from clinic_panel.imaging.measure import Shape
from clinic_panel.imaging.window import PRESETS
from clinic_panel.services.paper_content import PaperSource

type FrameSource = Callable[..., Frame]

_HERE: Final = Path(__file__).parent
_PARTS: Final = (
    *("planes.js", "frames.js", "painter.js", "palettes.js", "loupe.js", "chrome.js"),
    *("gestures.js", "calibration.js", "measure.js", "strokes.js", "ledger.js", "sketch.js"),
    *("shapes.js", "popup.js", "marks.js", "adjust.js", "reader.js", "content.js", "header.js"),
    *("papers.js", "ecg.js", "caliper.js", "geometry.js", "together.js", "layouts.js"),
    *("rail.js", "windows.js", "masks.js"),
    *("pane.js", "actions.js", "preferences.js", "parts.js", "projection.js", "reduction.js"),
    *("block.js", "volume.js", "filling.js", "mpr.js", "insection.js", "section.js"),
    *("crossing.js", "slab.js", "snapshot.js", "share.js", "wall.js", "presented.js"),
    *("comm.js", "sources.js", "sync.js", "viewer.js", "early.js"),
)
_STYLES: Final = ("viewer.css", "mpr.css")
# What is offered and shown is Python's to say; all else is where the reader stands.
_ONLY_TOLD: Final = frozenset(
    {"series", "studies", "prior", "rules", "offers", "banner", "reader", "over_comm"}
)


def _texts(names: tuple[str, ...]) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class StudyViewer(Figures, Script):
    """Shows the series of one study; pixels never pass through its params.

    In: ``series``, ``banner``, ``frame_url`` or ``source``. Out: ``selected_series``, ``index``,
    window, ``key_images``, ``problem``; set any of them from Python and the picture follows.

    A series is a dict: ``id`` (str), ``label``, ``modality``, ``thumbnail_url`` (may be empty),
    ``frames`` in reading order, and optionally ``problem`` (why it has none), ``presets`` (dicts
    of ``label``, ``center``, ``width``; default: those of the modality), ``grid``
    (``Grid.as_dict`` of its frames; without one, ``no_volume`` says why there are no sections),
    ``study`` (id of its study in ``studies``), ``frame_of_reference`` (its UID) and, of a parallel
    stack, ``planes``: ``orientation`` (six direction cosines) and ``positions`` (mm, LPS).

    A frame is a dict: ``id`` (our own number of the instance), ``frame`` (zero-based, default 0),
    ``count`` (that many frames from there on, default 1), and optionally ``url``, ``preview`` and
    ``info`` (``FrameInfo.as_dict``), which the response's ``X-Frame-Info`` makes unnecessary. An
    object that is no image has ``paper`` (its ``Kind``), ``name`` and ``problem`` instead; a series
    of nothing else has ``kind`` "papers". ``presentation`` is our number of the presentation state
    that a frame is to be seen through, with ``mask`` where that decides what is subtracted.
    """

    series = param.List(default=[], item_type=dict, doc="The study's series, in reading order.")
    frame_url = param.String(
        default="",
        doc="Where frames are: a path with {id} and {frame}. Empty asks ``source`` over the comm.",
    )
    paper_url = param.String(
        default="", doc="Where documents are: a path with {id}. Empty shows none."
    )
    header_url = param.String(
        default="", doc="Where headers are: a path with {id}. Empty offers none."
    )
    layout = param.List(
        default=[1, 1], item_type=int, bounds=(2, 2), doc="Rows and columns of panes, 1 to 3 each."
    )
    panes = param.List(
        default=[],
        item_type=str,
        doc="Id of the series in each pane, row by row; empty hangs the next that none shows.",
    )
    active_pane = param.Integer(
        default=0,
        bounds=(0, 8),
        doc="The pane that tools, keys, ``selected_series``, ``index`` and the window are about.",
    )
    preview_url = param.String(
        default="",
        doc="Where small, lossy forms of frames are, for images that take long; empty shows none.",
    )
    scroll_together = param.Boolean(
        default=False,
        doc="Whether panes scroll by position: the same one where they share a frame of reference, "
        "else as far as the active pane moved.",
    )
    reference_lines = param.Boolean(
        default=True, doc="Whether a line shows where the active image crosses the others."
    )
    same_window = param.Boolean(
        default=False, doc="Whether panes of one modality share window and level."
    )
    selected_series = param.String(default="", doc="Id of the series in the active pane.")
    index = param.Integer(default=0, bounds=(0, None), doc="Zero-based place in its stack.")
    window_center = param.Number(default=0.0, doc="Level, in the unit of the image.")
    window_width = param.Number(
        default=0.0, bounds=(0, None), doc="Window, in that unit; 0 until an image came."
    )
    document_id = param.Integer(
        default=None,
        allow_None=True,
        doc="Our number of the document in the active pane, or of the presentation state that its "
        "image is seen through; None for neither. Set it to go there.",
    )
    waveform_group = param.Integer(
        default=0,
        bounds=(0, None),
        doc="Zero-based part of a recording whose channels are sampled together, where one is.",
    )
    waveform_start_s = param.Number(
        default=0.0,
        bounds=(0, None),
        doc="From where on a long recording is seen, in seconds; as much follows as is held.",
    )
    invert = param.Boolean(default=False, doc="Whether the reader inverted the grey scale.")
    rotation = param.Selector(
        default=0,
        objects=[0, 90, 180, 270],
        doc="Degrees the picture is turned clockwise, after it was mirrored.",
    )
    mirrored = param.Boolean(default=False, doc="Whether left and right have changed places.")
    area = param.List(
        default=[],
        item_type=(int, float),
        bounds=(0, 4),
        doc="What of the image the active pane shows: left, top, right and bottom in image "
        "coordinates; empty where all of it is fitted. Set it to zoom there.",
    )
    colour_map = param.String(
        default=None,
        allow_None=True,
        doc="One of ``palettes``; empty for grey, None for what the modality usually has.",
    )
    mask = param.String(
        default=None,
        allow_None=True,
        regex=r"^(none|own|[1-9]\d{0,4})$",
        doc="What is subtracted from a recording by X-rays: None for what it recommends, ``none`` "
        "to see it as it is stored, ``own`` for its own mask, or the number of a frame, from one.",
    )
    palettes = param.Dict(
        default={name: packed(colours) for name, colours in PALETTES.items()},
        doc="Colour maps a grey image may have: 256 x RGB bytes in Base64 (``palettes.packed``).",
    )
    usual_colours = param.Dict(
        default=dict(USUAL), doc="By modality, the colour map it has until the reader chooses."
    )
    tool = param.Selector(
        default="window",
        objects=["window", "scroll", "pan", "zoom", "magnify", "cross", *Shape],
        doc="What dragging with the main button does: a shape's name draws it, ``cross`` moves the "
        "cross-hair of the sections.",
    )
    key_images = param.List(
        default=[],
        item_type=dict,
        doc="Marked images: dicts of series_id, instance_id and zero-based frame.",
    )
    measurements = param.List(
        default=[],
        item_type=dict,
        doc="Shapes drawn: dicts of id, kind, instance_id, zero-based frame, points as lists of "
        "x and y in image coordinates (``imaging.measure``), text; of a calibration also known_mm, "
        "scope (image or series) and by; of one on a section, ``section`` "
        "(``services.markup.Drawn``).",
    )
    brought = param.Integer(
        default=0, doc="Out: how often the browser took in what ``bring`` gave it."
    )
    reader = param.String(default="", doc="Who reads: stands beside what they calibrated.")
    selected_measurement = param.String(default="", doc="Id of the shape that is chosen, or empty.")
    mpr = param.Boolean(
        default=False,
        doc="Whether the selected series is seen in axial, coronal and sagittal sections; falls "
        "back to False where its images form no volume (``grid`` of the series).",
    )
    cross_hair = param.List(
        default=[],
        item_type=(int, float),
        bounds=(0, 3),
        doc="Where the sections meet: x, y, z in the patient (LPS), in mm; empty is the middle.",
    )
    slab_mode = param.Selector(
        default="slice",
        objects=["slice", "max", "min", "mean"],
        doc="What a section shows of the layers about it: the one, or a projection of ``slab_mm``.",
    )
    slab_mm = param.Number(default=10.0, bounds=(0, 2000), doc="Thickness of that slab, in mm.")
    volume_mb = param.Number(
        default=256.0,
        bounds=(0.01, 4096),
        doc="What the browser may hold of a volume, in MiB; a larger one is averaged to fit, and "
        "its sections say so.",
    )
    studies = param.List(
        default=[],
        item_type=dict,
        doc="The studies in the rail, when there are several: dicts of id (str), date and label "
        "ready to show, is_prior, is_open (its series are among ``series``), banner of a prior.",
    )
    prior = param.Dict(
        default={}, doc="The earlier study to hang beside this one: id and label; or empty."
    )
    beside = param.Selector(
        default="wide",
        objects=["wide", "always", "never"],
        doc="Whether the prior hangs beside from the start: where there is room for two, or not.",
    )
    subject = param.String(
        default="", doc="What a kept layout is for, as a person says it; empty offers to keep none."
    )
    rules = param.List(
        default=[],
        item_type=dict,
        doc="The reader's hanging rules: dicts of id, label, layout, with_prior, is_here.",
    )
    second_url = param.String(
        default="", doc="This study in a second window, for a second monitor; empty offers none."
    )
    is_second = param.Boolean(
        default=False, doc="Whether this is the second window, which follows the first."
    )
    can_mark = param.Boolean(default=True, doc="Whether key images can be marked here.")
    banner = param.Dict(
        default={},
        doc="Whose images: name, id, birth_date, sex, study_date, study, and the state of the "
        "study where that matters; text ready to show.",
    )
    presets = param.Dict(
        default={name: [asdict(one) for one in windows] for name, windows in PRESETS.items()},
        doc="Window presets by modality: lists of label, center, width.",
    )
    preferences = param.Dict(
        default={},
        doc="What the reader chose: keys (action -> keys), presets (label, center, width, "
        "modality, body_part), behaviour (``services.preferences``).",
    )
    notice = param.String(default=NOTICE, doc="Stands on every image; empty shows none.")
    cache_mb = param.Integer(
        default=256, bounds=(16, 4096), doc="What the browser keeps of decoded frames, in MiB."
    )
    prefetch = param.Integer(
        default=24, bounds=(0, 200), doc="Frames asked ahead in the direction of travel."
    )
    preload = param.Boolean(default=True, doc="Whether an idle browser loads the whole stack.")
    sync_ms = param.Integer(
        default=250, bounds=(0, 5000), doc="Rest of the hand before Python is told."
    )
    offers = param.List(
        default=[],
        item_type=dict,
        doc="What can be done with the view beside reading it: dicts of id, label, hint.",
    )
    asked = param.Dict(
        default=None,
        allow_None=True,
        doc="Out: `what` of the offers was chosen, and the `view` as it was: instance_id, frame, "
        "center, width, invert, or None; None again once told.",
    )
    pictured = param.Boolean(
        default=None, allow_None=True, doc="Out: whether a picture could be made; None once told."
    )
    problem = param.String(default="", doc="Why the wanted image cannot be shown; else empty.")
    source: FrameSource | None = param.Callable(
        default=None,
        allow_None=True,
        precedence=-1,
        doc="Gives the frame of (instance id, frame) where no HTTP route exists, and to ``image``; "
        "with a third value of what to subtract (``mask``) where that is not left to the image.",
    )

    papers: PaperSource | None = param.Parameter(
        default=None,
        allow_None=True,
        precedence=-1,
        doc="Gives headers and documents where no HTTP route exists, as ``source`` gives frames.",
    )
    over_comm = param.Boolean(
        default=False, doc="Out: whether headers and documents are asked of ``papers``."
    )

    _esm = "\n".join([f"const STYLES = {json.dumps(_texts(_STYLES))};", _texts(_PARTS)])
    _brought = 0  # how often something was

    _rename = {"source": None, "papers": None, "asked": None, "pictured": None}

    def opening(self) -> dict[str, Any]:
        """The params a browser needs to begin before the page's model has come (``early.js``)."""
        own = (name for name in self.param if StudyViewer.param[name].owner is StudyViewer)
        left_out = {"name", *self._rename}
        return {name: getattr(self, name) for name in own if name not in left_out}

    @classmethod
    def _hears(cls, name: str) -> bool:
        return name not in _ONLY_TOLD

    @param.depends("papers", watch=True, on_init=True)
    def _say_papers(self) -> None:
        self.over_comm = self.papers is not None

    def _handle_msg(self, data: dict[str, Any]) -> None:
        """Answer the browser's wish for a frame with its bytes; tell what else it asks for."""
        if "ask" in data or "picture" in data:
            self._told(data)
            return
        if "wall" in data:
            return  # heard by the page (``on_msg``)
        if "errand" in data:
            told = errands.answer(self.papers, data)
            if told is not None:
                self._send_msg(told)
            return
        answer: dict[str, Any] = {"key": str(data.get("want", ""))}
        try:
            frame = self._frame(int(data["id"]), int(data["frame"]), str(data.get("mask") or ""))
        except ClinicError as error:
            answer["problem"] = error.message
        except (KeyError, TypeError, ValueError):
            return  # not a wish of ours
        else:
            answer |= {"info": frame.info.as_dict(), "pixels": frame.body}
        self._send_msg(answer)

    def _told(self, data: dict[str, Any]) -> None:
        if "picture" in data:
            self.pictured = bool(data["picture"])
        elif any(data["ask"] == offer["id"] for offer in self.offers):
            view = data.get("view")
            self.asked = {"what": data["ask"], "view": view if isinstance(view, dict) else None}
        with discard_events(self):
            self.asked = self.pictured = None

    def picture(self, name: str, *, format: str, identity: str, marks: bool) -> None:
        """Let the browser save its active view as a picture; it answers in ``pictured``.

        Parameters
        ----------
        name
            The file's, without its ending.
        format
            ``png`` or ``jpeg``.
        identity
            Whose image it is: ``burnt`` in, ``beside`` it, or ``none``.
        marks
            Whether what was drawn is on it.
        """
        wish = {"name": name, "format": format, "identity": identity, "marks": marks}
        self._send_msg({"picture": wish})

    def _frame(self, instance_id: int, frame: int, mask: str = "") -> Frame:
        if self.source is None:
            raise NotDisplayable("The pixels of this image are not at hand here.")
        return self.source(instance_id, frame, *([mask] if mask else []))

    def stack(self, series_id: str | None = None) -> list[tuple[int, int]]:
        """(instance id, zero-based frame) of each image of a series, in reading order.

        What is no image stands behind the images and is left out.
        """
        wanted = series_id or self.selected_series
        for series in self.series:
            if series["id"] == wanted or not wanted:
                return [
                    (int(entry["id"]), first + offset)
                    for entry in series.get("frames", [])
                    if "paper" not in entry
                    for first in (int(entry.get("frame", 0)),)
                    for offset in range(int(entry.get("count", 1)))
                ]
        return []

    def hang(self, layout: list[int], panes: list[str], **joined: bool) -> None:
        """Arrange the panes and hang series in them, in an open browser too.

        Parameters
        ----------
        layout, panes, joined
            As the params of these names; ``joined`` are those of what panes do together.
        """
        if not self._models:
            self.param.update(layout=layout, panes=panes, **joined)
            return
        # In one word: params arrive one by one, and one whose old value we have not at all.
        # The browser reports what came of it.
        self._send_msg({"hang": {"layout": layout, "panes": panes, **joined}})

    def bring(self, shapes: list[dict[str, Any]], gone: Sequence[str] = ()) -> None:
        """Add to ``measurements``, whatever is being drawn in an open browser meanwhile.

        Parameters
        ----------
        shapes
            Each takes the place of the one with its id; without one it is added.
        gone
            Ids of those that are to vanish.
        """
        if not self._models:
            fresh = {one["id"]: one for one in shapes}
            held = {one["id"]: one for one in self.measurements if one["id"] not in gone}
            self.measurements = list((held | fresh).values())
            return
        # A list of ours would take away what is drawn until it arrives: the browser joins the two.
        self._brought += 1
        self._send_msg({"bring": {"shapes": shapes, "gone": [*gone], "number": self._brought}})

    @property
    def is_behind(self) -> bool:
        """Whether ``measurements`` is older than what ``bring`` gave the browser."""
        return bool(self.brought < self._brought)

    @property
    def homes(self) -> dict[int, str]:
        """Id of the study by instance id; empty where the series do not say."""
        return {
            int(entry["id"]): str(series.get("study", ""))
            for series in self.series
            for entry in series.get("frames", [])
        }
