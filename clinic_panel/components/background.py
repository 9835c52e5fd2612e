"""Questions that take seconds: asked in a thread, answered in the page's own turn."""

from __future__ import annotations

import threading
from collections.abc import Callable

import panel as pn
from panel.io.state import set_curdoc

from clinic_panel.errors import ClinicError


class Background:
    """Asks for one page; an answer that is no longer wanted is dropped."""

    def __init__(self) -> None:
        self._doc = pn.state.curdoc
        self._asked = 0

    def ask[T](self, question: Callable[[], T], tell: Callable[[T | ClinicError], None]) -> None:
        """Call a service, and later say what it returned or why it refused.

        Parameters
        ----------
        tell
            Called with the page's lock held, unless another question was asked meanwhile.
        """
        self._asked += 1
        number = self._asked

        def answer() -> None:
            outcome: T | ClinicError
            try:
                outcome = question()
            except ClinicError as error:
                outcome = error
            if self._doc is None:  # no page is served: a test, or a notebook
                tell(outcome)
            else:
                self._doc.add_next_tick_callback(lambda: self._deliver(number, tell, outcome))

        if self._doc is None:
            answer()
        else:
            threading.Thread(target=answer, name="question", daemon=True).start()

    def _deliver[T](
        self, number: int, tell: Callable[[T | ClinicError], None], outcome: T | ClinicError
    ) -> None:
        if number == self._asked:
            with set_curdoc(self._doc):
                tell(outcome)
