"""The clinic as a notebook sees it: tables, volumes and the viewer, without names."""

from __future__ import annotations

import getpass
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from sqlalchemy.engine import make_url

from clinic_panel.config import Settings
from clinic_panel.context import Actor, Context
from clinic_panel.errors import NotFound
from clinic_panel.imaging.volume import LazyVolume, Volume
from clinic_panel.models.user import Role
from clinic_panel.resources import open_context
from clinic_panel.services import (
    analytics,
    cohort,
    cohort_headers,
    cohort_view,
    cohort_waveform,
    preferences,
)
from clinic_panel.services import export as exports
from clinic_panel.services.cohort_frames import day_of
from clinic_panel.services.export import Wanted

if TYPE_CHECKING:
    from clinic_panel.components.viewer.viewer import StudyViewer


class Clinic:
    """One clinic, open for an analyst. Every answer leaves an entry in the audit.

    A notebook acts as the person who runs it, in the role *analyst*: keys and UIDs are stable
    pseudonyms, ages stand for birth dates, and free text stays at home. Who needs names signs in
    to the dashboards, where each role is asked who it is.
    """

    def __init__(self, ctx: Context, resources: ExitStack) -> None:
        self._ctx = ctx
        self._close = weakref.finalize(self, resources.close)

    def patients(self) -> pd.DataFrame:
        """Return one row a person: pseudonymous key, sex, age, how many visits and studies."""
        return cohort.patients(self._ctx)

    def appointments(
        self, *, since: str | date | None = None, until: str | date | None = None
    ) -> pd.DataFrame:
        """Return one row a booking between two days, both included."""
        return cohort.appointments(self._ctx, since=since, until=until)

    def studies(
        self,
        *,
        modality: str = "",
        since: str | date | None = None,
        until: str | date | None = None,
    ) -> pd.DataFrame:
        """Return one row a study, by modality and between two days, both included."""
        return cohort.studies(self._ctx, modality=modality, since=since, until=until)

    def series(self, study_uid: str) -> pd.DataFrame:
        """Return one row a series of a study; raises NotFound when there is none."""
        return cohort.series(self._ctx, study_uid)

    def instances(self, series_uid: str) -> pd.DataFrame:
        """Return one row an instance of a series; raises NotFound when there is none."""
        return cohort.instances(self._ctx, series_uid)

    def reports(self) -> pd.DataFrame:
        """Return one row a report: when, of what and how far, nothing of what it says."""
        return cohort.reports(self._ctx)

    def headers(self, study_uid: str, keywords: Sequence[str]) -> pd.DataFrame:
        """Return one row an instance with the DICOM attributes asked for.

        Raises
        ------
        NotFound, Invalid
            There is no such study; a keyword is none, or may name a person.
        """
        return cohort_headers.headers(self._ctx, study_uid, keywords)

    def volume(self, series_uid: str) -> Volume:
        """Return a series as one array ``(z, y, x)``, float32, in the modality's unit.

        Raises
        ------
        NotFound, NotDisplayable
            There is no such series, or its images form no volume.
        """
        return cohort.volume(self._ctx, series_uid)

    def lazy_volume(self, series_uid: str) -> LazyVolume:
        """Return a series as a Dask array of the same, decoded block by block when computed.

        ``project("max", axis=1)`` is a MIP from the front; more than memory holds is no hindrance.

        Raises
        ------
        NotFound, NotDisplayable
            There is no such series, or its images form no volume.
        """
        return cohort.lazy_volume(self._ctx, series_uid)

    def waveform(
        self,
        sop_instance_uid: str,
        *,
        group: int = 0,
        start_s: float = 0.0,
        seconds: float | None = None,
    ) -> pd.DataFrame:
        """Return a recording, as an ECG: float32 in physical units, a column a channel.

        Indexed by seconds; ``attrs`` hold the ``units`` and what else there is to know of channels.

        Parameters
        ----------
        group
            Zero-based; channels that are sampled together are a group.
        start_s, seconds
            A part of it; without ``seconds`` all from there on.

        Raises
        ------
        NotFound, Invalid, NotDisplayable
            There is no such recording or part, or it cannot be read.
        """
        return cohort_waveform.samples(self._ctx, sop_instance_uid, group, start_s, seconds)

    def view(self, study_uid: str) -> StudyViewer:
        """Return the clinicians' viewer on a study, under its pseudonym.

        A cell before has to say ``pn.extension(inline=True)``; without ``inline`` Panel asks the
        internet for its scripts. Keys, presets and ways are those of the account with this person's
        name, where there is one. Pixels, headers and documents come over the notebook's own
        channel: the latter without texts, names and dates of a person; text burned into pixels is
        not removed.
        """
        from clinic_panel.components.viewer.preferred import as_params
        from clinic_panel.components.viewer.study import series_of
        from clinic_panel.components.viewer.viewer import StudyViewer

        opened = cohort_view.open_study(self._ctx, study_uid)
        return StudyViewer(
            series=series_of(opened.view),
            banner={"name": opened.patient_key, "sex": opened.patient_sex},
            source=opened.frame,
            papers=opened.papers,
            notice=self._ctx.settings.notice,
            cache_mb=self._ctx.settings.viewer_cache_mb,
            preload=False,
            **as_params(preferences.mine(self._ctx)),
        )

    def export(
        self, study_uid: str, to: str | Path, *, case: str = "", looked: bool = False
    ) -> pd.DataFrame:
        """Write a de-identified copy of a study to a new folder, with a DICOMDIR.

        Parameters
        ----------
        case
            What stands for name and ID; empty: one is made up.
        looked
            Whether you saw that no name is drawn into the images; else those that usually have one
            are left out.

        Returns
        -------
        pandas.DataFrame
            What was left out: one row a series and reason.

        Raises
        ------
        Invalid, NotFound, NotUnderstood
            Nothing was written.
        """
        from clinic_panel.tasks.export import check_empty, write

        target = Path(to)
        check_empty(target)
        wanted = Wanted(deidentified=True, case=case, looked=looked)
        order = exports.order_of(self._ctx, [study_uid], wanted)
        made = write(order, target)
        return pd.DataFrame(map(asdict, made.left), columns=["series", "count", "reason"])

    def studies_by_hour(self, first: str | date, last: str | date) -> pd.DataFrame:
        """Return how many studies came in each hour of the day, by modality."""
        days = analytics.Days(day_of(first), day_of(last))
        return analytics.studies_by_hour(self._ctx, days)

    def turnaround(self, first: str | date, last: str | date) -> pd.DataFrame:
        """Return one row a reported visit: minutes from arrival to images and to the report."""
        days = analytics.Days(day_of(first), day_of(last))
        return analytics.turnaround(self._ctx, days)

    def utilisation(self, first: str | date, last: str | date) -> pd.DataFrame:
        """Return how much of its opening hours each room was booked, day by day."""
        days = analytics.Days(day_of(first), day_of(last))
        return analytics.utilisation(self._ctx, days)

    def close(self) -> None:
        """Let the database go; what was handed out stays usable."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_clinic(**flags: Any) -> Clinic:
    """Open the clinic of the settings; `clinic_panel.connect` says more.

    Raises
    ------
    SettingsError, NotFound, Unavailable
        Nothing was opened.
    """
    if flags.get("home") is not None:
        flags["home"] = Path(flags["home"]).expanduser()
    settings = Settings.read(**flags)
    url = make_url(settings.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise NotFound(f"There is no clinic in {settings.home}: run `clinic demo` first.")
    actor = Actor(username=getpass.getuser()[:64], role=Role.ANALYST, address="notebook")
    resources = ExitStack()
    return Clinic(resources.enter_context(open_context(settings, actor)), resources)
