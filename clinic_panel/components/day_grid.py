"""A day as a plan: rooms side by side, time downwards, visits as blocks."""

from typing import Any

import param
from param.parameterized import discard_events

from clinic_panel.components.part import Part

DAY_MIN = 24 * 60


class DayGrid(Part):
    """Rooms against time. In: ``rooms``, ``bookings``. Out: ``wanted``, ``chosen``, ``moved``.

    Times are minutes after midnight on the clinic's wall clock. A free time is pressed to book it,
    a visit to see it, and a visit that may move is dragged to another time or room; what was asked
    for is checked again by whoever listens.

    A **room** is a dict: `id`, `label`, optional `detail`. A **booking** is a dict: `id`, `room`,
    `start`, `end`, `label`, and optionally `detail`, `status`, `tone`, `movable`, `rooms` (ids of
    the rooms it may move to).
    """

    _source = "day_grid"
    _rename = {"wanted": None, "chosen": None, "moved": None}

    label = param.String(default="Day plan", doc="Accessible name.")
    rooms = param.List(item_type=dict, doc="Columns, in order.")
    bookings = param.List(item_type=dict, doc="Visits of the day.")
    open_min = param.Integer(default=8 * 60, bounds=(0, DAY_MIN), doc="First bookable minute.")
    close_min = param.Integer(default=18 * 60, bounds=(0, DAY_MIN), doc="Minute the day ends.")
    step_min = param.Integer(default=15, bounds=(5, 120), doc="Grid of the free times, minutes.")
    earliest_min = param.Integer(
        default=0, bounds=(0, DAY_MIN), doc="Nothing can be booked before this minute: the past."
    )
    now_min = param.Integer(default=-1, bounds=(-1, DAY_MIN), doc="Where the day stands; -1: none.")
    bookable = param.Boolean(default=False, doc="Offer the free times.")
    empty_text = param.String(default="No rooms yet.", doc="Said when there are no rooms.")
    wanted = param.Dict(
        default=None, doc="Out: `room`, `start` of a free time pressed; None again once told."
    )
    chosen = param.Parameter(
        default=None, doc="Out: id of a booking pressed; None again once told."
    )
    moved = param.Dict(
        default=None, doc="Out: `id`, `room`, `start` where it was dropped; None again once told."
    )

    def _handle_msg(self, data: dict[str, Any]) -> None:
        match data:
            case {"kind": "choose", "id": visit} if self._booking(visit):
                self._tell(chosen=visit)
            case {"kind": "want", "room": room, "start": start} if self.bookable:
                if self._is_place(room, start):
                    self._tell(wanted={"room": room, "start": start})
            case {"kind": "move", "id": visit, "room": room, "start": start}:
                booking = self._booking(visit)
                if booking and booking.get("movable") and self._is_place(room, start):
                    self._tell(moved={"id": visit, "room": room, "start": start})

    def _tell(self, **said: Any) -> None:
        self.param.update(**said)
        with discard_events(self):
            self.param.update(**dict.fromkeys(said))

    def _booking(self, visit: Any) -> dict[str, Any] | None:
        return next((one for one in self.bookings if one["id"] == visit), None)

    def _is_place(self, room: Any, start: Any) -> bool:
        known = any(one["id"] == room for one in self.rooms)
        return known and isinstance(start, int) and self.open_min <= start < self.close_min
