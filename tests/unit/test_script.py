"""Components in a notebook: what the browser changes in one go arrives whole."""

from bokeh.document import Document
from pyviz_comms import Comm

from clinic_panel.components.viewer.viewer import StudyViewer


def test_changes_that_a_notebook_sends_together_all_arrive():
    viewer, document = StudyViewer(), Document()
    root = viewer.get_root(document, Comm())  # the model itself, or what the design wraps it in
    document.add_root(root)
    model, _ = viewer._models[root.ref["id"]]
    document.hold()  # as Panel does while it applies a message
    model.data.update(selected_series="7", index=3, window_center=40.0, window_width=400.0)
    document.unhold()
    assert (viewer.selected_series, viewer.index) == ("7", 3)
    assert (viewer.window_center, viewer.window_width) == (40, 400)


def test_what_hangs_reaches_an_open_browser_in_one_word():
    viewer, document, said = StudyViewer(), Document(), []
    viewer.hang([2, 1], ["7"], same_window=True)  # before a browser is there
    assert (viewer.layout, viewer.panes, viewer.same_window) == ([2, 1], ["7"], True)
    document.add_root(viewer.get_root(document))
    document.callbacks.on_change(said.append)
    viewer.hang([1, 2], ["7", "8"], scroll_together=True)
    [word] = said
    wish = {"layout": [1, 2], "panes": ["7", "8"], "scroll_together": True}
    assert word.msg_data.data == {"hang": wish}
