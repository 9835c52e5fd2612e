"""The web server as a browser and an attacker meet it: real uvicorn, real sockets."""

import asyncio
import json
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import httpx
import pytest
import uvicorn
from bokeh.protocol.messages.pull_doc_req import pull_doc_req
from sqlalchemy import select, text
from websockets.asyncio.client import connect as connect_alone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from clinic_panel import app as app_module
from clinic_panel import logs
from clinic_panel.components.heading import Heading
from clinic_panel.components.shell import shell
from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.context import system
from clinic_panel.errors import Forbidden
from clinic_panel.feed import ChangeFeed
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.site import Topic
from clinic_panel.models.user import PERMISSIONS, Permission, Role
from clinic_panel.resources import build_context, build_engine
from clinic_panel.services import accounts, changes, lockout
from clinic_panel.services.lightbox import Lightbox
from clinic_panel.web import wire
from clinic_panel.web.door import safe_next
from clinic_panel.web.open_pages import PageSpec
from tests.conftest import free_port
from tests.factories import PASSWORD, user

PEOPLE = [role for role in Role if role is not Role.SYSTEM]
SECRET = "Muster^Maria"
WAIT_S = 60


def wait_for(condition, what, seconds=WAIT_S):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


class Web:
    """A running server, and what its pages did."""

    def __init__(self, ctx, url):
        self.ctx, self.url = ctx, url
        self.lives, self.told, self.headings = [], [], []

    @contextmanager
    def client(self, role=None, **options):
        with httpx.Client(base_url=self.url, timeout=WAIT_S, **options) as client:
            if role is not None:
                user(self.ctx, role)
                form = {"username": role.value, "password": PASSWORD}
                assert client.post("/login", data=form).status_code == 303
            yield client

    def page(self, ctx, live):
        self.lives.append(live)
        live.on(Topic.SCHEDULE, lambda: self.told.append(ctx.actor.username))
        heading = Heading(title="Test", day="2026-03-30", today="2026-03-30")
        self.headings.append(heading)

        def chosen(_event):
            with suppress(Forbidden):  # as pages do, which say it in a sentence
                ctx.require(Permission.ADMIN)

        heading.param.watch(chosen, "day")
        news = {"title": "Other", "note": "Something else", "chips": [{"label": "New"}]}
        live.on(Topic.STUDIES, lambda: heading.param.update(**news))
        who = {"user": ctx.actor.display_name, "role": ctx.actor.role.value}
        return shell("Test", **who, active="", main=[heading])


@contextmanager
def serving(app, settings):
    config = app_module.server_config(app, settings)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server did not start")
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def database():
    """The edge asks services alone, and those are tested on both databases."""
    return "sqlite"


@pytest.fixture
def web(settings, clock):
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("web"), clock)
    web = Web(ctx, f"http://127.0.0.1:{settings.http_port}")

    def broken(_ctx, _live):
        raise RuntimeError(SECRET)

    specs = [
        PageSpec("/desk", "Desk", Permission.SCHEDULE_READ, web.page),
        PageSpec("/control", "Control", Permission.ADMIN, web.page),
        PageSpec("/broken", "Broken", Permission.SCHEDULE_READ, broken),
    ]
    with serving(app_module.build(ctx, ChangeFeed(engine), specs), settings):
        yield web
    engine.dispose()


def token_of(page):
    return re.search(r'"token":\s*"([^"]+)"', page)[1]


@contextmanager
def socket_to(web, path, token, cookies, origin=None):
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())} if cookies else {}
    with connect(
        web.url.replace("http", "ws") + f"{path}/ws",
        subprotocols=["bokeh", token],
        additional_headers=headers,
        origin=origin or web.url,
        open_timeout=WAIT_S,
        max_size=None,
    ) as socket:
        yield socket


async def first_word(web, path, token, client, trust):
    """What a page's socket says first, under TLS.

    In one thread: the synchronous client reads in a second one, and two threads on one TLS
    connection lost the handshake once in a while.
    """
    async with connect_alone(
        web.url.replace("http", "ws") + f"{path}/ws",
        subprotocols=["bokeh", token],
        additional_headers={"Cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())},
        origin=web.url,
        open_timeout=WAIT_S,
        ssl=trust,
    ) as socket:
        return str(await asyncio.wait_for(socket.recv(), WAIT_S))


def pull(socket):
    """Take the document over, as a browser does; return what arrived."""
    message = pull_doc_req.create()
    for part in (message.header_json, message.metadata_json, message.content_json):
        socket.send(part)
    parts = []
    while '"PULL-DOC-REPLY"' not in "".join(parts):
        parts.append(str(socket.recv(timeout=WAIT_S)))
    return "".join([*parts, str(socket.recv(timeout=WAIT_S)), str(socket.recv(timeout=WAIT_S))])


PAGES = {"/desk": Permission.SCHEDULE_READ, "/control": Permission.ADMIN}
ROUTES = {
    "/": None,
    "/password": None,
    "/readyz": None,
    "/metrics": Permission.ADMIN,
    "/frames/1/0": Permission.IMAGE_READ,
    "/previews/1/0": Permission.IMAGE_READ,
    "/thumbnails/1": Permission.PATIENT_READ,
    "/reports/1.pdf": Permission.REPORT_READ,
    **PAGES,
}
# Of the standard library, and of no use to us: only an address that is believed imports it.
STRANGER = "turtledemo.clock"
NOBODYS = [
    "/desk/autoload.js",
    "/desk/metadata",
    "/nothing",
    "/docs",
    "/openapi.json",
    f"/components/{STRANGER}/Clock/_bundle_path/clock.js",
]


def test_without_a_session_only_the_door_answers(web):
    with web.client() as client:
        for path in [*ROUTES, *NOBODYS, "/desk/", "/desk/ws", "/components/x/y/z", "/session_info"]:
            answer = client.get(path)
            assert answer.status_code in (303, 401), path
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/login?next=/"), path
        assert client.get("/healthz").status_code == 200
        assert client.get("/login").status_code == 200
        assert client.get("/static/js/bokeh.min.js").status_code == 200


@pytest.mark.parametrize("role", PEOPLE)
def test_each_role_reaches_what_it_may_and_nothing_else(web, role):
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with web.client(role, headers=claims) as client:  # nobody stands between, whatever is claimed
        for path, permission in ROUTES.items():
            allowed = permission is None or permission in PERMISSIONS[role]
            status = client.get(path).status_code
            assert (status != 403) == allowed, path
            assert status != 401, path
        for path in NOBODYS:
            assert client.get(path).status_code == 404, path
        assert STRANGER.split(".")[0] not in sys.modules

    denied = [p for p, needed in ROUTES.items() if needed and needed not in PERMISSIONS[role]]
    with web.ctx.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.DENIED))
        noted = [(entry.username, entry.address) for entry in entries]
    assert noted == [(role.value, "127.0.0.1")] * len(denied)


def test_a_role_is_checked_on_the_websocket_too(web):
    with web.client(Role.ADMIN) as admin, web.client(Role.ANALYST) as analyst:
        token = token_of(admin.get("/control").text)
        with (
            pytest.raises(InvalidStatus) as caught,
            socket_to(web, "/control", token, analyst.cookies),
        ):
            pass
    assert caught.value.response.status_code == 403


def test_a_websocket_needs_the_cookie_the_origin_and_its_own_page(web):
    with web.client(Role.RECEPTIONIST) as desk, web.client(Role.ADMIN) as admin:
        token = token_of(desk.get("/desk").text)
        for cookies, origin in (
            ({}, None),
            ({"clinic": "x"}, None),
            (desk.cookies, "https://evil.example"),
            (desk.cookies, web.url + "0"),
            (desk.cookies, web.url.replace("127.0.0.1", "127.0.0.1.evil.example")),
            (admin.cookies, None),  # somebody else's page, with a valid session of one's own
        ):
            with (
                pytest.raises(InvalidStatus) as caught,
                socket_to(web, "/desk", token, cookies, origin),
            ):
                pass
            assert caught.value.response.status_code == 403, (cookies, origin)
        with socket_to(web, "/desk", token, desk.cookies) as socket:
            assert "ACK" in str(socket.recv(timeout=WAIT_S))


def test_a_forged_page_token_is_refused(web):
    from bokeh.util.token import generate_jwt_token, generate_session_id

    forged = generate_jwt_token(generate_session_id(), signed=True, secret_key=b"guessed")
    with (
        web.client(Role.RECEPTIONIST) as desk,
        pytest.raises(InvalidStatus),
        socket_to(web, "/desk", forged, desk.cookies),
    ):
        pass


def close_of(socket):
    """Read until the server closes; return what it said and why it closed."""
    heard = []
    with suppress(ConnectionClosed):
        while True:
            heard.append(str(socket.recv(timeout=WAIT_S)))
    return "".join(heard), socket.close_code


def test_signing_out_sends_open_pages_away_and_closes_their_sockets(web):
    with web.client(Role.RECEPTIONIST) as desk:
        kept = dict(desk.cookies)
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, kept) as socket:
            pull(socket)
            desk.post("/logout")
            heard, code = close_of(socket)
        assert code == 1008
        assert "/login?next=/desk" in heard
        with pytest.raises(InvalidStatus), socket_to(web, "/desk", token, kept):
            pass
        with web.client(cookies=kept) as thief:
            assert thief.get("/desk").status_code == 303
            assert thief.get("/frames/1/0").status_code == 401


@pytest.mark.parametrize("how", ["idle", "disabled", "another role"])
def test_a_session_that_ends_elsewhere_closes_its_pages(web, clock, how):
    with web.client(Role.RECEPTIONIST) as desk:
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, desk.cookies) as socket:
            pull(socket)
            if how == "idle":
                clock.advance(minutes=16)
            elif how == "disabled":
                accounts.disable(web.ctx, "receptionist")
            else:
                accounts.change_role(web.ctx, "receptionist", Role.ANALYST)
            assert close_of(socket)[1] == 1008
        assert desk.get("/desk").status_code == 303


def test_what_one_callback_changed_arrives_in_one_message(web):
    with web.client(Role.RECEPTIONIST) as desk:
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, desk.cookies) as socket:
            pull(socket)
            with web.ctx.begin() as session:
                changes.announce(session, Topic.STUDIES)
            content = ""
            while '"attr":"title"' not in content:
                content = str(socket.recv(timeout=WAIT_S))
    changed = {event.get("attr") for event in json.loads(content)["events"]}
    assert {"title", "note", "chips"} <= changed


def send(socket, kind, content, **header):
    for part in ({"msgid": "7", "msgtype": kind} | header, {}, content):
        socket.send(json.dumps(part))


def test_a_browser_says_no_more_than_our_pages_do(web, caplog):
    """And is not told more: what it sent is neither in the answer nor in the log."""
    tool = {"type": "object", "name": "CustomAction", "id": "new", "attributes": {"icon": SECRET}}
    unknown = {"kind": "ModelChanged", "model": {"id": "p999999"}, "attr": "x", "new": SECRET}
    with web.client(Role.RECEPTIONIST) as desk:
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, desk.cookies) as socket:
            pull(socket)
            for event, text in (
                ({"kind": "RootAdded", "model": tool}, "not taken"),
                (unknown, "could not be dealt with"),
            ):
                send(socket, "PATCH-DOC", {"events": [event]})
                answer = ""
                while "ERROR" not in answer:
                    answer = str(socket.recv(timeout=WAIT_S))
                answer = "".join(str(socket.recv(timeout=WAIT_S)) for _ in range(2))
                assert text in answer
                assert "Traceback" not in answer
                assert SECRET not in answer
            assert "CustomAction" not in pull(socket)
            send(socket, "PATCH-DOC", {"events": []}, num_buffers=10**9)
            assert close_of(socket)[1] == 1002
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, desk.cookies) as socket, suppress(ConnectionClosed):
            socket.send("x" * (wire.MOST_BYTES + 1))
            assert close_of(socket)[1] == 1009
    formatter = logs.Discreet()
    assert SECRET not in "".join(formatter.format(record) for record in caplog.records)


def denials(web):
    with web.ctx.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.DENIED))
        return [(entry.username, entry.detail) for entry in entries]


def test_a_browser_cannot_write_what_it_was_offered_and_what_it_may_not_is_noted(web):
    def say(attr, new):
        event = {"kind": "ModelChanged", "model": {"id": data}, "attr": attr, "new": new}
        send(socket, "PATCH-DOC", {"events": [event]})

    with web.client(Role.RECEPTIONIST) as desk:
        token = token_of(desk.get("/desk").text)
        with socket_to(web, "/desk", token, desk.cookies) as socket:
            data = re.search(r'"name":\s*"Heading\d+",\s*"id":\s*"(\w+)"', pull(socket))[1]
            [heading] = web.headings
            say("buttons", [{"type": "map", "entries": [["id", "forged"]]}])
            say("day", "2026-03-31")  # which is its own to choose, and comes after
            wait_for(lambda: heading.day == "2026-03-31", "the day was not taken")
    assert heading.buttons == []
    wait_for(lambda: denials(web), "the denial was not noted")
    assert denials(web) == [("receptionist", {"what": "/desk"})]


def test_the_cookie_is_for_this_server_alone_and_never_in_a_page(web):
    with web.client(Role.RECEPTIONIST) as desk:
        [(name, value)] = desk.cookies.items()
        page = desk.get("/desk")
        assert value not in page.text
        assert value not in str(page.headers)
        with socket_to(web, "/desk", token_of(page.text), desk.cookies) as socket:
            assert value not in pull(socket)
        again = desk.post(
            "/login", data={"username": "receptionist", "password": PASSWORD}
        ).headers["set-cookie"]
    assert again.startswith(f"{name}=")
    assert value not in again
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in again
    with web.client(cookies={name: value}) as old:
        assert old.get("/desk").status_code == 303  # a new sign-in ends the one before


def test_every_answer_carries_the_policy_and_is_not_kept(web):
    with web.client(Role.RECEPTIONIST) as desk, web.client() as nobody:
        for client, path, status in (
            (nobody, "/login", 200),
            (nobody, "/desk", 303),
            (nobody, "/frames/1/0", 401),
            (nobody, "/static/nothing.js", 404),
            (nobody, "/static/js/bokeh.min.js", 200),
            (nobody, "/static/clinic/favicon.svg", 200),
            (desk, "/desk", 200),
            (desk, "/broken", 200),
            (desk, "/control", 403),
            (desk, "/nothing", 404),
            (desk, "/thumbnails/x", 404),
        ):
            answer = client.get(path)
            assert answer.status_code == status, path
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert "http" not in policy, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            if not path.startswith("/static/"):
                assert answer.headers["cache-control"] == "no-store", path


def test_static_files_are_compressed_tagged_and_kept(web):
    with web.client() as client:
        plain = client.get("/static/js/bokeh.min.js", headers={"Accept-Encoding": "identity"})
        packed = client.get("/static/js/bokeh.min.js?v=abc")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
        assert "immutable" in packed.headers["cache-control"]
        assert plain.headers["cache-control"] == "no-cache"
        again = client.get(
            "/static/js/bokeh.min.js", headers={"If-None-Match": plain.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        for path in ("/static/clinic/../door.py", "/static/clinic/%2e%2e/door.py"):
            assert client.get(path).status_code == 404
        script = client.get(StudyViewer.address())
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-type"].startswith("text/javascript")
        unknown = client.get("/static/scripts/of-yesterday.js")
        assert (unknown.status_code, unknown.headers["cache-control"]) == (404, "no-store")


def test_a_page_that_fails_says_so_without_a_name(web, caplog):
    with web.client(Role.RECEPTIONIST) as desk:
        page = desk.get("/broken")
        with socket_to(web, "/broken", token_of(page.text), desk.cookies) as socket:
            shown = pull(socket)
    assert "could not be shown" in shown
    assert SECRET not in shown + page.text + caplog.text
    assert "RuntimeError < test_web.py" in caplog.text


def test_a_wrong_password_and_a_lock_are_told(web):
    user(web.ctx, Role.ADMIN)
    with web.client() as client:
        for _ in range(lockout.ACCOUNT_FREE):
            wrong = client.post("/login", data={"username": "admin", "password": "wrong"})
            assert wrong.status_code == 401
            assert "is not right" in wrong.text
        locked = client.post("/login", data={"username": "admin", "password": PASSWORD})
    assert locked.status_code == 429
    assert locked.headers["retry-after"] == "15"
    assert not locked.cookies


def test_one_changes_ones_own_password_and_stays_signed_in_here_alone(web):
    with web.client(Role.RECEPTIONIST) as desk, web.client() as other:
        form = {"username": Role.RECEPTIONIST.value, "password": PASSWORD}
        assert other.post("/login", data=form).status_code == 303
        new = "another long sentence"
        change = {"present": PASSWORD, "password": new, "again": new}
        for wrong in ({"again": "a typing error"}, {"present": "wrong"}, {"password": "short"}):
            refused = desk.post("/password", data=change | wrong)
            assert refused.status_code == 422
            assert 'role="alert"' in refused.text
            assert new not in refused.text
        assert desk.get("/desk").status_code == other.get("/desk").status_code == 200

        assert "Password changed" in desk.post("/password", data=change).text

        assert desk.get("/desk").status_code == 200
        assert other.get("/desk").status_code == 303
        assert other.post("/login", data=form).status_code == 401
        assert other.post("/login", data=form | {"password": new}).status_code == 303


def test_a_lock_is_told_where_the_password_is_changed(web):
    with web.client(Role.RECEPTIONIST) as desk:
        guess = {"present": "a wrong guess", "password": "another long sentence"}
        guess["again"] = guess["password"]
        answers = [desk.post("/password", data=guess) for _ in range(lockout.ACCOUNT_FREE + 1)]
        assert [answer.status_code for answer in answers] == [422] * lockout.ACCOUNT_FREE + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0


def test_another_site_cannot_post(web):
    user(web.ctx, Role.ADMIN)
    form = {"username": "admin", "password": PASSWORD}
    with web.client() as client:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert client.post("/login", data=form, headers=headers).status_code == 403
        ours = client.post("/login", data=form, headers={"Origin": web.url})
        assert ours.status_code == 303


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("/study?id=7", "/study?id=7"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/" + "a" * 300, "/"),
    ],
)
def test_after_signing_in_one_stays_here(wanted, got):
    assert safe_next(wanted) == got


def test_next_leads_back_to_the_page_that_was_asked_for(web):
    user(web.ctx, Role.RECEPTIONIST)
    with web.client() as client:
        asked = client.get("/desk?id=7")
        login = client.get(asked.headers["location"])
        assert 'value="/desk?id=7"' in login.text
        form = {"username": "receptionist", "password": PASSWORD, "next": "/desk?id=7"}
        assert client.post("/login", data=form).headers["location"] == "/desk?id=7"
        form["next"] = "//evil.example/"
        assert client.post("/login", data=form).headers["location"] == "/"


@pytest.mark.parametrize(
    ("role", "start"),
    [(Role.RECEPTIONIST, "/schedule"), (Role.ANALYST, "/analytics"), (Role.ADMIN, "/admin")],
)
def test_each_role_starts_on_its_page(web, role, start):
    with web.client(role) as client:
        assert client.get("/").headers["location"] == start


def test_readiness_names_the_part_that_is_not_ready(web):
    with web.client(Role.ANALYST) as client, web.client() as nobody:
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "ready")
        assert nobody.get("/readyz").status_code == 401

        shutil.move(web.ctx.store.root / "incoming", web.ctx.store.root / "gone")
        for asker in (client, nobody):
            answer = asker.get("/readyz")
            assert answer.status_code == 503
            assert "archive" in answer.text
        shutil.move(web.ctx.store.root / "gone", web.ctx.store.root / "incoming")

        with web.ctx.begin() as session:
            session.execute(text("update alembic_version set version_num = '0001'"))
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "schema" in answer.text


def test_under_tls_the_cookie_is_secure_and_the_websocket_works(web, settings, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    flags = {"http_tls_cert": str(certificate), "http_tls_key": str(key), "http_port": free_port()}
    values = {name: getattr(settings, name) for name in settings.names()} | flags
    secure = type(settings)(**values)
    ctx = replace(web.ctx, settings=secure)
    other = Web(ctx, f"https://127.0.0.1:{secure.http_port}")
    specs = [PageSpec("/desk", "Desk", Permission.SCHEDULE_READ, other.page)]
    trust = ssl.create_default_context(cafile=str(certificate))
    feed = ChangeFeed(ctx.sessions.kw["bind"])
    with (
        serving(app_module.build(ctx, feed, specs), secure),
        other.client(Role.RECEPTIONIST, verify=trust) as desk,
    ):
        [(name, _)] = desk.cookies.items()
        page = desk.get("/desk")
        assert "ACK" in asyncio.run(first_word(other, "/desk", token_of(page.text), desk, trust))
        login = desk.post("/login", data={"username": "receptionist", "password": PASSWORD})
    assert name.startswith("__Host-")
    assert "; Secure" in login.headers["set-cookie"]
    assert page.headers["strict-transport-security"].startswith("max-age=")
    assert "wss://127.0.0.1" in page.headers["content-security-policy"]


def test_figures_for_those_who_watch_by_password(web):
    user(web.ctx, Role.ADMIN)
    with web.client() as client:
        asked = client.get("/metrics")
        assert (asked.status_code, asked.headers["www-authenticate"][:5]) == (401, "Basic")
        assert client.get("/metrics", auth=("admin", "wrong")).status_code == 401
        for _ in range(2):
            figures = client.get("/metrics", auth=("admin", PASSWORD))
        assert figures.status_code == 200
        assert "clinic_websockets 0.0" in figures.text
        assert 'clinic_http_requests_total{kind="/metrics",status="401"} 2.0' in figures.text
        assert client.get("/desk", auth=("admin", PASSWORD)).status_code == 303
    with web.ctx.read() as session:
        signed_in = session.scalars(select(AuditEntry).where(AuditEntry.action == Action.SIGN_IN))
        assert len(signed_in.all()) == 1  # not one at every scrape


def test_a_change_reaches_an_open_page_and_a_closed_one_listens_no_more(web):
    with web.client(Role.RECEPTIONIST) as desk:
        page = desk.get("/desk")
        with socket_to(web, "/desk", token_of(page.text), desk.cookies) as socket:
            pull(socket)
            web.told.clear()
            with web.ctx.begin() as session:
                changes.announce(session, Topic.SCHEDULE)
            wait_for(lambda: web.told == ["receptionist"], "the page was not told")
        [live] = web.lives
        live.close()
        with web.ctx.begin() as session:
            changes.announce(session, Topic.SCHEDULE)
        assert web.told == ["receptionist"]


def test_every_real_page_opens_for_those_who_may(settings, clock):
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("web"), clock)
    web = Web(ctx, f"http://127.0.0.1:{settings.http_port}")
    specs = app_module.page_specs(Lightbox())
    assert specs
    with serving(app_module.build(ctx, ChangeFeed(engine), specs), settings):
        for role in PEOPLE:
            with web.client(role) as client:
                for spec in specs:
                    page = client.get(spec.path)
                    allowed = spec.permission in PERMISSIONS[role]
                    assert page.status_code == (200 if allowed else 403), (role, spec.path)
                    if allowed and spec.path != "/study":  # which needs to be told of which study
                        with socket_to(
                            web, spec.path, token_of(page.text), client.cookies
                        ) as socket:
                            shown = pull(socket)
                        assert "could not be shown" not in shown, (role, spec.path)
    engine.dispose()
