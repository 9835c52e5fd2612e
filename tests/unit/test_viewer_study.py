import json
import re
from types import SimpleNamespace

from clinic_panel.components.viewer.printing import _captions
from clinic_panel.components.viewer.study import _runs
from clinic_panel.components.viewer.viewer import StudyViewer


def frames(*places: tuple[int, int]):
    return tuple(SimpleNamespace(instance_id=one, frame=frame) for one, frame in places)


def test_frames_sorted_against_their_numbers_keep_their_own():
    """Slices of one enhanced object may stand in the patient from the last frame to the first."""
    runs = _runs(frames((7, 2), (7, 1), (7, 0), (8, 0), (8, 1), (9, 5)))
    asked = [(run["id"], run["frame"] + offset) for run in runs for offset in range(run["count"])]
    assert asked == [(7, 2), (7, 1), (7, 0), (8, 0), (8, 1), (9, 5)]
    assert {"id": 8, "frame": 0, "count": 2} in runs


def test_a_browser_can_begin_with_what_the_page_says():
    """The script finds no param missing before the page's model has come."""
    asked = set(re.findall(r"\bmodel\.([a-z]\w*)", StudyViewer._esm))
    said = StudyViewer().opening()
    assert {"series", "measurements", "preferences"} <= asked
    assert asked - {"on", "send_msg", "face"} <= set(said)
    assert json.loads(json.dumps(said, default=float)) == said


def test_an_image_is_called_after_its_own_series_also_where_a_presentation_shows_it():
    series = [
        {"label": "Axial", "frames": [{"id": 7, "frame": 0, "count": 2}]},
        {"label": "Marked", "frames": [{"id": 7, "frame": 1, "presentation": 9}]},
    ]
    assert _captions(series) == {(7, 0): "Axial · 1 / 2", (7, 1): "Axial · 2 / 2"}
