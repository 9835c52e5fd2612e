"""Changes made elsewhere, told to one page in its own turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import panel as pn
from panel.io.state import set_curdoc

from clinic_panel.feed import ChangeFeed
from clinic_panel.models.site import Topic


class Live:
    """Hands the changes a process hears of to one page, until the page is closed."""

    def __init__(self, feed: ChangeFeed, doc: Any) -> None:
        """Listen for a page.

        Parameters
        ----------
        feed
            The feed of this process.
        doc
            The page's Bokeh document.
        """
        self._doc = doc
        self._callbacks: dict[Topic, list[Callable[[], Any]]] = {}
        self._due: set[Topic] = set()
        self._lock = threading.Lock()
        self._unsubscribe = feed.subscribe(self._heard)

    def on(self, topic: Topic, callback: Callable[[], Any]) -> None:
        """Call back, with the page's lock held, soon after the topic changed.

        Changes that come before the page had its turn are told once.
        """
        with self._lock:
            self._callbacks.setdefault(topic, []).append(callback)

    def close(self) -> None:
        """Listen no more."""
        self._unsubscribe()

    def _heard(self, topics: frozenset[Topic]) -> None:
        with self._lock:
            news = topics & self._callbacks.keys()
            idle = not self._due
            self._due |= news
        if news and idle:
            self._doc.add_next_tick_callback(self._tell)

    def _tell(self) -> None:
        with self._lock:
            due, self._due = self._due, set()
            # One callback on two topics is called once.
            callbacks = list(dict.fromkeys(c for topic in due for c in self._callbacks[topic]))
        with set_curdoc(self._doc):
            for callback in callbacks:
                self._call(callback)

    @staticmethod
    def _call(callback: Callable[[], Any]) -> None:
        try:
            callback()
        except Exception as error:
            if pn.config.exception_handler is None:
                raise
            pn.config.exception_handler(error)


class Pace:
    """Follows changes no faster than a person can: at once, then after a pause; none is lost."""

    def __init__(self, act: Callable[[], None], pause_s: float) -> None:
        self._act, self._pause_s = act, pause_s
        self._doc = pn.state.curdoc
        self._acted_at, self._is_due = 0.0, False

    def follow(self) -> None:
        """Act now, or when the pause since the last time is over."""
        if self._is_due:
            return
        wait_s = self._acted_at + self._pause_s - monotonic()
        if wait_s <= 0 or self._doc is None:
            self._go()
            return
        self._is_due = True
        self._doc.add_timeout_callback(self._go, int(wait_s * 1000) + 1)

    def _go(self) -> None:
        self._is_due = False
        self._act()
        self._acted_at = monotonic()
