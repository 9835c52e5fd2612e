"""The frame every page stands in: product bar, patient search, account, navigation."""

import base64
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import bokeh
import panel as pn
import panel.ui as ui
import param
from bokeh.document import Document
from jinja2 import Template
from jinja2.utils import htmlsafe_json_dumps
from panel.io.resources import BASE_TEMPLATE

from clinic_panel.components.part import HERE, Part
from clinic_panel.components.script import Script, has_addresses

NAVIGATION: tuple[dict[str, str], ...] = (
    {"id": "schedule", "label": "Schedule", "href": "/schedule", "icon": "calendar"},
    {"id": "patients", "label": "Patients", "href": "/patients", "icon": "people"},
    {"id": "fetch", "label": "Archives", "href": "/fetch", "icon": "download"},
    {"id": "reports", "label": "Reports", "href": "/reports", "icon": "report"},
    {"id": "analytics", "label": "Analytics", "href": "/analytics", "icon": "analytics"},
    {"id": "devices", "label": "Devices", "href": "/devices", "icon": "devices"},
    {"id": "admin", "label": "Admin", "href": "/admin", "icon": "admin"},
)
"""Every entry there is, in order; `VISIBLE` says who meets which."""

VISIBLE: dict[str, frozenset[str]] = {
    "receptionist": frozenset({"schedule", "patients"}),
    "technologist": frozenset({"schedule", "patients", "fetch", "devices"}),
    "clinician": frozenset({"schedule", "patients", "fetch", "reports", "analytics"}),
    "analyst": frozenset({"analytics"}),
    "admin": frozenset({"schedule", "patients", "reports", "analytics", "devices", "admin"}),
}

MAX_QUERY = 64  # an accession number or ID has 64 characters at most (PS3.5 6.2, LO)

THEME = {
    scheme: {
        "palette": {
            "primary": {"main": accent, "contrastText": on_accent},
            "background": {"default": ground, "paper": surface},
            "text": {"primary": ink, "secondary": ink_2},
            "divider": line,
        },
        "shape": {"borderRadius": 8},
        "typography": {"button": {"textTransform": "none"}},
    }
    for scheme, accent, on_accent, ground, surface, ink, ink_2, line in (
        ("light", "#0f766e", "#ffffff", "#f3f7f6", "#ffffff", "#12211f", "#50615d", "#dde6e4"),
        ("dark", "#2dd4bf", "#04211d", "#0f1719", "#162124", "#e7efed", "#a3b6b1", "#2a3a3d"),
    )
}

WIDE = "@media (min-width: 1100px)"
# What imports modules where a browser cannot: all of today's can. No figure draws by WebGL.
_NEEDLESS = re.compile(r"<script[^>]*/(es-module-shims|bokeh-gl\.)[^>]*></script>")
_UNVERSIONED = re.compile(r'(/js/bokeh[a-z-]*\.min\.js)"')
_SOURCE = re.compile(r'<script type="text/javascript" src="([^"]+)"')
PHONE = "@media (max-width: 719px)"
PRINT = "@media print"
UNROLLED = {"height": "auto", "overflow": "visible"}  # paper does not scroll
FRAME = {
    # What the frame and its margins take of the screen's height.
    "&&": {"--clinic-around": "96px", PHONE: {"--clinic-around": "152px"}},
    PRINT: {
        **{
            "&&": {**UNROLLED, "colorScheme": "light"},
            "& main": {**UNROLLED, "marginLeft": 0},
            "& main > div": UNROLLED,
        },
        "& main .main-content": {**UNROLLED, "display": "block"},
        "& main .main-content > * > *": {"marginBottom": "12px"},
        "& .header, & .MuiAppBar-root": {"display": "none"},
        "&&, & *": {"transition": "none !important"},  # else dark ink fades on light paper
    },
    "& .header": {
        "background": "light-dark(#0f766e, #0d3533)",
        "boxShadow": "inset 0 -1px light-dark(transparent, #1d4f4b)",
    },
    "& .MuiToolbar-root": {"minHeight": "56px", "padding": 0, "margin": 0},
    "& .MuiLinearProgress-root": {"display": "none"},
    "& main": {
        "marginLeft": "var(--clinic-nav, 0px)",
        "backgroundColor": "light-dark(#f3f7f6, #0f1719)",
        "outline": "none",
        "minWidth": 0,
    },
    "& .main-content": {
        "display": "grid",
        "gridTemplateColumns": "minmax(0, 1fr)",
        "gridAutoRows": "max-content",
        "alignContent": "start",
        "alignItems": "start",
        "gap": "16px",
        "padding": "0 24px 24px",
        PHONE: {"padding": "0 12px 84px", "gap": "12px"},
        # The room above the first part; as padding it would show through above a sticky heading.
        "&::before": {
            "content": '""',
            "gridColumn": "1 / -1",
            "height": "4px",
            PHONE: {"height": 0},
        },
    },
}


class TopBar(Part):
    """Product bar and navigation in one part. In: who and where. Out: what is searched."""

    _source = "shell"
    _rename = {"find": None, "touched": None}

    user = param.String(doc="Name shown on the account button.")
    role = param.String(doc="Role shown below it.")
    active = param.String(doc="Id of the navigation entry the page belongs to.")
    entries = param.List(doc="Navigation: dicts of `id`, `label`, `href`, `icon`.")
    searchable = param.Boolean(default=False, doc="Show the patient search field.")
    idle_s = param.Integer(
        default=0, doc="Seconds without work after which the session ends; 0: no word of it."
    )
    ended = param.String(doc="Set to an address to send the browser there: the session is over.")
    find = param.Callable(
        default=None,
        doc="Told the text; answers with dicts: `label`, `detail`, `href`, maybe `chip`, `tone`.",
    )
    touched = param.Callable(
        default=None, doc="Called at most once a minute while somebody types or clicks."
    )

    def _handle_msg(self, data: dict[str, Any]) -> None:
        if data.get("kind") == "alive" and self.touched:
            self.touched()
        if data.get("kind") != "find" or not self.find:
            return
        text = str(data.get("text", ""))[:MAX_QUERY].strip()
        hits = self.find(text) if text else []
        self._send_msg({"kind": "hits", "n": data.get("n"), "hits": hits})


def entries_for(role: str) -> list[dict[str, str]]:
    """Return the navigation a role meets, in order."""
    seen = VISIBLE.get(role, frozenset())
    return [dict(entry) for entry in NAVIGATION if entry["id"] in seen]


@functools.cache
def page_template() -> Template:
    """Return Panel's page with the clinic's first paint: bar, colours and a thin progress line."""
    source = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "material": ui.Page._render_esm(server=True),
        "needed": _needed,
        "addresses_in": _SOURCE.findall,
    }
    return BASE_TEMPLATE.environment.from_string(source, globals=parts)


def _needed(scripts: str) -> str:
    """Leave out scripts that no page needs; with its version a browser need not ask again."""
    return _UNVERSIONED.sub(rf'\1?v={bokeh.__version__}"', _NEEDLESS.sub("", scripts))


def begin_early(doc: Document, part: Script, params: dict[str, Any], aside_px: int) -> None:
    """Let the first part of a page begin in the page's own HTML, before Bokeh's scripts have come.

    Parameters
    ----------
    part
        Its script exports ``begin``, which is given a place and the params.
    params
        What it has to know: written into the page.
    aside_px
        Width of the column beside it; 0 for none.
    """
    if has_addresses(doc):
        said = htmlsafe_json_dumps(params, default=float, separators=(",", ":"))
        early = {"script": part.address(), "params": said, "aside_px": aside_px}
        doc.template_variables["early"] = early


def shell(
    title: str,
    *,
    user: str,
    role: str,
    active: str,
    top: Sequence[Any] = (),
    main: Sequence[Any] = (),
    aside: Sequence[Any] = (),
    aside_px: int = 332,
    overlays: Sequence[Any] = (),
    search: Callable[[str], list[dict[str, str]]] | None = None,
    touched: Callable[[], None] | None = None,
) -> ui.Page:
    """Return one page of the clinic.

    Parameters
    ----------
    title
        Name of the page, for the browser's tab: never a patient's.
    user, role
        Who is signed in, by the name to show, and the role's value (`receptionist`).
    active
        Id of the navigation entry the page belongs to.
    top, main, aside
        Full width; the main column; the column beside it, below on narrow screens.
    aside_px
        Width of that column.
    overlays
        Dialogs and notices: they take no room.
    search
        Answers the patient search; without it the field is absent.
    touched
        Told at most once a minute that somebody is at work.
    """
    bar = TopBar(
        user=user,
        role=role.capitalize(),
        active=active,
        entries=entries_for(role),
        searchable=search is not None,
        find=search,
        touched=touched,
    )
    body = [*top, *main]
    if aside:
        body = [*top, _column(main), _column(aside)]
    page = ui.Page(
        title="",
        meta_title=f"{title} · Clinic Panel",
        header=[bar],
        main=[*body, *overlays],
        theme_toggle=False,
        busy_indicator=None,
        theme_config=THEME,
        sx=_frame(len(top) if aside else None, len(overlays), aside_px),
        favicon=_favicon(),
        template=page_template(),
    )
    _leave_alone(page)
    return page


def _leave_alone(page: ui.Page) -> None:
    """Let the page not show that the process is busy.

    Panel ties every page to one flag of the whole process. With that each press anywhere changes
    all pages that were ever opened, none of them leaves memory, and the press is lost when it meets
    one that closes at that moment.
    """
    for watcher in list(pn.state.param.watchers["busy"]["value"]):
        follower = getattr(watcher.fn, "__self__", None)
        if getattr(follower, "self", None) is page:
            pn.state.param.unwatch(watcher)


def _frame(wide: int | None, overlays: int, aside_px: int) -> dict[str, Any]:
    """Lay out the main area: its first ``wide`` parts span an aside, its last ones take no room."""
    rules: dict[str, Any] = {
        **FRAME,
        f"& .main-content > :nth-last-child(-n+{overlays}) > *": {
            "position": "absolute",
            "width": 0,
            "height": 0,
        },
    }
    if wide is not None:
        rules[WIDE] = {
            "& .main-content": {"gridTemplateColumns": f"minmax(0, 1fr) {aside_px}px"},
            # An aside that hid itself leaves its room to the rest.
            "& .main-content:has(> * > [style*='display: none'])": {
                "gridTemplateColumns": "minmax(0, 1fr)"
            },
            f"& .main-content > :nth-child(-n+{wide}) > *": {"gridColumn": "1 / -1"},
        }
    return rules


@functools.cache
def _favicon() -> str:
    mark = (HERE.parent / "web" / "static" / "favicon.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(mark).decode()}"


def _column(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return pn.Column(*parts, sizing_mode="stretch_width", margin=0, styles={"gap": "16px"})
