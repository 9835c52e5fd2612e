"""What hangs in the viewer beside the study itself: earlier studies, and the reader's layouts."""

from __future__ import annotations

from asyncio import Lock, to_thread
from collections.abc import Callable
from typing import Any, Final

from clinic_panel.components.viewer.study import banner_of, series_of
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import Context
from clinic_panel.errors import ClinicError
from clinic_panel.services import hanging, priors, viewing
from clinic_panel.services.hanging import Hanging, Place, Rule
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.services.viewing import StudyView

MOST_PANES: Final = hanging.MOST_ACROSS**2
BESIDE: Final = (1, 2)  # rows and columns of a study and its prior, where no rule says otherwise


class Wall:
    """Ties one viewer to the earlier studies of its patient and to its reader's hanging rules."""

    def __init__(
        self,
        ctx: Context,
        lightbox: Lightbox,
        view: StudyView,
        viewer: StudyViewer,
        *,
        say: Callable[[str, str], Any],
        opened: Callable[[int], Any] = lambda _: None,
    ) -> None:
        """List the earlier studies, and hang what the reader's rule or the usual one says.

        Parameters
        ----------
        say
            Shows a sentence and its tone.
        opened
            Is told the id of an earlier study once its series are in the viewer.
        """
        self._ctx, self._lightbox, self._viewer = ctx, lightbox, viewer
        self._say, self._opened = say, opened
        self._view = view
        self._earlier: dict[int, StudyView] = {}
        self._turn = Lock()  # asked for twice, as by the page and by a press, a study opens once
        self._subject = hanging.subject_of(view)
        self._prior = priors.best(view.earlier, self._subject, view.study_description)
        self._rules = hanging.rules(ctx)
        viewer.param.update(subject=self._subject.label, **self._shown())
        self._tell_rules()
        self._begin()
        viewer.on_msg(self._asked)

    def refresh(self, view: StudyView) -> None:
        """Show more images of the study."""
        self._view = view
        fresh = self._shown() | {"banner": banner_of(view)}
        self._viewer.param.update(
            **{name: value for name, value in fresh.items() if value != getattr(self._viewer, name)}
        )

    def _shown(self) -> dict[str, Any]:
        """The series and studies in the rail, as they are now."""
        views = [self._view, *self._earlier.values()]
        series = [one | {"study": str(view.id)} for view in views for one in series_of(view)]
        if not self._view.earlier:
            return {"studies": [], "series": series}
        now = {
            "id": str(self._view.id),
            "date": str(self._view.study_date or ""),
            "label": self._view.study_description,
            "is_prior": False,
            "is_open": True,
        }
        # The studies first: they say of each series, as it arrives, whose date it stands under.
        return {"studies": [now, *map(self._listed, self._view.earlier)], "series": series}

    def _listed(self, study: priors.EarlierStudy) -> dict[str, Any]:
        view = self._earlier.get(study.id)
        said = banner_of(view) | {"prior": str(study.study_date)} if view else {}
        return {
            "id": str(study.id),
            "date": str(study.study_date),
            "label": study.study_description or ", ".join(study.modalities) or "Study",
            "is_prior": True,
            "is_open": view is not None,
            "banner": said,
        }

    # -- what hangs where ----------------------------------------------------------------------

    @property
    def _rule(self) -> Rule | None:
        return next((rule for rule in self._rules if rule.subject == self._subject), None)

    def _begin(self) -> None:
        """Without a rule a matching prior hangs beside where a browser finds the room."""
        rule, viewer = self._rule, self._viewer
        if viewer.is_second:  # there the reader arranges by hand
            rule, beside = None, "never"
        else:
            beside = "wide"
        if rule is not None:
            beside = "always" if rule.hanging.with_prior else "never"
            if not rule.hanging.with_prior:
                self._hang(rule.hanging)
        if self._prior is not None:
            what = f"{self._prior.study_date} {self._prior.study_description}".strip()
            viewer.param.update(prior={"id": str(self._prior.id), "label": what}, beside=beside)

    def _hang(self, wanted: Hanging) -> None:
        prior = self._earlier.get(self._prior.id) if self._prior else None
        count = wanted.rows * wanted.columns
        panes = [self._find(place, prior) for place in wanted.places][:count]
        self._viewer.hang(
            [wanted.rows, wanted.columns],
            panes,
            scroll_together=wanted.scroll_together,
            reference_lines=wanted.reference_lines,
            same_window=wanted.same_window,
        )

    def _find(self, place: Place | None, prior: StudyView | None) -> str:
        view = prior if place and place.is_prior else self._view
        if place is None or view is None:
            return ""
        series = [one for one in view.series if one.frames or one.papers]
        named = [one for one in series if one.description == place.description and one.description]
        ordered = series[place.series : place.series + 1]
        return next((str(one.id) for one in (*named, *ordered)), "")

    def _place(self, series_id: str) -> Place | None:
        """Where a series stands in its study, for a rule to find its like in another."""
        prior = self._earlier.get(self._prior.id) if self._prior else None
        for view in filter(None, (self._view, prior)):
            series = [one for one in view.series if one.frames or one.papers]
            for order, one in enumerate(series):
                if str(one.id) == series_id:
                    return Place(one.description, order, is_prior=view is prior)
        return None

    async def _beside(self, looked_at: str) -> None:
        """Hang the prior: as the rule says, else beside the series that is looked at."""
        if self._prior is None or not await self._open(self._prior.id):
            return
        rule = self._rule
        if rule is not None and rule.hanging.with_prior:
            self._hang(rule.hanging)
            return
        here = self._place(looked_at)
        if here is None or here.is_prior:
            here, looked_at = Place("", 0), self._find(Place("", 0), None)
        there = Place(here.description, here.series, is_prior=True)
        like = self._find(there, self._earlier[self._prior.id]) or self._find(
            Place("", 0, is_prior=True), self._earlier[self._prior.id]
        )
        self._viewer.hang(list(BESIDE), [looked_at, like])

    async def _open(self, study_id: int) -> bool:
        """Bring an earlier study of this patient into the rail; looking at it is audited."""
        if study_id not in {study.id for study in self._view.earlier}:
            return False
        async with self._turn:
            return study_id in self._earlier or await self._bring(study_id)

    async def _bring(self, study_id: int) -> bool:
        try:  # a long study is described file by file: other people's pages go on meanwhile
            view = await to_thread(viewing.study, self._ctx, self._lightbox, study_id)
        except ClinicError as error:
            self._say(error.message, "problem")
            return False
        self._earlier[study_id] = view
        self._viewer.param.update(**self._shown())
        self._opened(study_id)
        return True

    # -- what the reader asks ------------------------------------------------------------------

    async def _asked(self, event: Any) -> None:
        asked = event.data if isinstance(event.data, dict) else {}
        given = str(asked.get("id", ""))
        number = int(given) if given.isdecimal() and len(given) < 10 else 0
        match asked.get("wall"):
            case "study":
                await self._open(number)
            case "prior":
                await self._beside(str(asked.get("series", "")))
            case "keep_rule":
                self._keep_rule(asked)
            case "drop_rule":
                self._drop_rule(number)

    def _keep_rule(self, asked: dict[str, Any]) -> None:
        try:
            wanted = Hanging(
                rows=int(asked["rows"]),
                columns=int(asked["columns"]),
                places=tuple(self._place(str(one)) for one in list(asked["panes"])[:MOST_PANES]),
                scroll_together=asked.get("scroll_together") is True,
                reference_lines=asked.get("reference_lines") is True,
                same_window=asked.get("same_window") is True,
            )
        except (KeyError, TypeError, ValueError):
            return  # not a wish of ours
        try:
            hanging.keep(self._ctx, self._subject, wanted)
        except ClinicError as error:
            self._say(error.message, "problem")
            return
        self._tell_rules(again=True)
        self._say(f"{self._subject.label} will open like this for you.", "success")

    def _drop_rule(self, rule_id: int) -> None:
        try:
            hanging.drop(self._ctx, rule_id)
        except ClinicError as error:
            self._say(error.message, "problem")
        self._tell_rules(again=True)

    def _tell_rules(self, *, again: bool = False) -> None:
        if again:
            self._rules = hanging.rules(self._ctx)
        self._viewer.rules = [
            {
                "id": str(rule.id),
                "label": rule.subject.label,
                "layout": f"{rule.hanging.rows} × {rule.hanging.columns}",
                "with_prior": rule.hanging.with_prior,
                "is_here": rule.subject == self._subject,
            }
            for rule in self._rules
        ]
