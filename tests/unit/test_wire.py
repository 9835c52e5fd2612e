"""What a browser may say to a page's document, and what no page of ours would."""

import asyncio
import json

import pytest
from bokeh.models import Model
from bokeh.plotting import figure
from bokeh.protocol import Protocol
from bokeh.protocol.exceptions import ValidationError

from clinic_panel.web.wire import Plain, may_be_said

HEADER = {"msgid": "1", "msgtype": "PATCH-DOC"}


@pytest.fixture
def plot():
    return figure(tools="pan")


def finder(plot):
    return {model.id: model for model in plot.references()}.get


def said(plot, *events, kind="PATCH-DOC", **content):
    header = {"msgid": "1", "msgtype": kind}
    sent = content or {"events": list(events)}
    message = Protocol().assemble(json.dumps(header), "{}", json.dumps(sent))
    return may_be_said(message, finder(plot))


def changed(model: Model | dict, attr, new):
    ref = model if isinstance(model, dict) else {"id": model.id}
    return {"kind": "ModelChanged", "model": ref, "attr": attr, "new": new}


def pressed(data):
    values = [["model", {"id": "p1"}], ["data", {"type": "map", "entries": data}]]
    event = {"type": "event", "name": "data_event"}
    event["values"] = {"type": "map", "entries": values}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}


def test_a_page_may_change_what_is_there_and_say_what_was_done(plot):
    nan = {"type": "number", "value": "nan"}
    assert said(plot, changed(plot.x_range, "start", 1.5), changed(plot.x_range, "end", nan))
    assert said(plot, changed(plot, "tags", [{"type": "map", "entries": [["a", [1, None]]]}]))
    assert said(plot, pressed([["kind", "submit"], ["values", [1, "two", True]]]))
    assert said(plot, kind="PULL-DOC-REQ")


def test_it_adds_no_model_and_no_value_that_grows(plot):
    tool = {"type": "object", "name": "CustomAction", "id": "new", "attributes": {"icon": "/a"}}
    grown = {"type": "bytes", "data": "H4sI"}
    wide = {"type": "ndarray", "array": [1], "dtype": "S99999999", "order": "little", "shape": [1]}
    assert not said(plot, {"kind": "RootAdded", "model": tool})
    assert not said(plot, {"kind": "RootRemoved", "model": {"id": plot.id}})
    assert not said(plot, {"kind": "TitleChanged", "title": "x"})
    for value in (tool, grown, wide):
        assert not said(plot, changed(plot, "tags", [[{"type": "map", "entries": [[1, value]]}]]))
        assert not said(plot, pressed([["kind", value]]))
    assert not said(plot, kind="PUSH-DOC", doc={})
    assert not said(plot, kind="SERVER-INFO-REQ")


def test_no_file_of_the_server_is_opened_by_its_name(plot):
    [pan] = plot.tools
    assert said(plot, changed(pan, "name", "/etc/hostname.png"))
    icon = changed(pan, "icon", "/etc/hostname.png")
    assert not said(plot, icon)
    assert not said(plot, changed(plot.x_range, "start", 0), icon)


def test_nothing_is_read_in_another_way_than_it_was_looked_at(plot):
    [pan] = plot.tools
    icon = changed(pan, "icon", "/etc/hostname.png")
    hidden = {"type": "map", "entries": [list(item) for item in icon.items()]}
    assert not said(plot, {**pressed([]), **hidden})
    assert not said(plot, events=[], type="map", entries=[["events", [icon]]])
    typed = changed(plot, "tags", {"type": ["map"]})
    for odd in (None, 7, [], {"events": {}}, {"events": [7]}, {"events": [{"kind": []}, typed]}):
        message = Protocol().assemble(json.dumps(HEADER), "{}", json.dumps(odd))
        assert not may_be_said(message, finder(plot))
    for event in (changed({}, "icon", 1), changed({"id": []}, "icon", 1), changed(pan, [], 1)):
        said(plot, event)  # Bokeh's to refuse: it must only not stop us


def test_no_buffers_are_kept_for_a_browser():
    async def send(header):
        receiver = Plain(Protocol())
        for part in (header, {}, {"events": []}):
            whole = await receiver.consume(json.dumps(part))
        return whole

    assert asyncio.run(send(HEADER)).msgtype == "PATCH-DOC"
    assert asyncio.run(send(HEADER | {"num_buffers": 0})).msgtype == "PATCH-DOC"
    with pytest.raises(ValidationError):
        asyncio.run(send(HEADER | {"num_buffers": 10**9}))
