"""Figures for Prometheus: counts and seconds of one process, never a name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_panel.services import status
from clinic_panel.web.door import Door

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """The figures of one web process."""

    def __init__(self, door: Door, core: Any) -> None:
        """Count for a door and the Bokeh server behind it."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Clinic(door, core))
        self.requests = Counter(
            "clinic_http_requests",
            "Requests answered, by kind of address and status.",
            ["kind", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "clinic_http_request_seconds",
            "Time until an answer began.",
            ["kind"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Clinic(Collector):
    """What is counted at the moment somebody asks."""

    def __init__(self, door: Door, core: Any) -> None:
        self._door, self._core = door, core

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: to collect asks the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Count pages, jobs, objects and free space."""
        pages = GaugeMetricFamily("clinic_open_pages", "Pages with a session.", labels=["page"])
        for path, context in self._core.applications.items():
            pages.add_metric([path], len(list(context.sessions)))
        yield pages
        yield GaugeMetricFamily(
            "clinic_websockets", "Open websockets.", value=len(self._core._clients)
        )
        counts = status.counts(self._door.ctx)
        jobs = GaugeMetricFamily("clinic_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        for (kind, state), number in counts.jobs.items():
            jobs.add_metric([kind, state], number)
        yield jobs
        for name, value in counts.totals.items():
            yield GaugeMetricFamily(f"clinic_{name}", f"{name.capitalize()} now.", value=value)


class Timing:
    """Middleware: counts answers and times them, by the first part of the path."""

    def __init__(self, app: ASGIApp, meters: Meters, kinds: Iterable[str]) -> None:
        self._app, self._meters = app, meters
        self._kinds = frozenset(kinds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = "/" + scope["path"].split("/")[1]
        kind = first if first in self._kinds else "other"  # what a scanner asks adds no series
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._meters.requests.labels(kind, str(message["status"])).inc()
                self._meters.seconds.labels(kind).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, sending)
