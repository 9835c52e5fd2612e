"""The administrator's page, by its parts: what is shown, what a press does."""

import pytest
from sqlalchemy import select

from clinic_panel.components.live import Live
from clinic_panel.context import system
from clinic_panel.dimse.model import Reference, Request
from clinic_panel.errors import GivenUp, Unauthenticated
from clinic_panel.feed import ChangeFeed
from clinic_panel.models.audit_log import AuditEntry
from clinic_panel.models.imaging import Instance, InstanceConflict
from clinic_panel.models.job import Job, JobKind, JobState
from clinic_panel.models.site import Topic
from clinic_panel.models.user import Role
from clinic_panel.pages import admin as page_module
from clinic_panel.pages.admin import Administration
from clinic_panel.services import accounts, associations, auth, commitments, lockout, peers, site
from tests.factories import study, user

NEW = "another long sentence"


@pytest.fixture
def page(as_role):
    return Administration(as_role(Role.ADMIN))


def press(board, row_id, action):
    """Do what a click in the browser does."""
    board._handle_msg({"kind": "action", "id": row_id, "action": action})


def answer(page, **values):
    """Fill the open form and send it."""
    dialog = page.tasks.dialog
    filled = {f["name"]: f.get("value", "") for f in dialog.fields if "name" in f} | values
    dialog.submitted = filled


def said(page):
    return page.tasks.notice.message["text"]


def section(page, name):
    page.tabs.active = name
    return page.sections[name]


def shown(board, **where):
    return [row for row in board.rows if where.items() <= row.items()]


def test_only_the_open_tab_is_built_and_the_page_is_small(page):
    assert [name for name, one in page.sections.items() if one._parts] == ["users"]
    for name in page.sections:
        section(page, name)
        assert page.body.objects == page.sections[name].parts
    assert sum(len(one.parts) for one in page.sections.values()) <= 16


def test_an_unknown_tab_changes_nothing(page):
    page.tabs.active = "nothing"
    assert page.tabs.active == "users"


def test_a_user_is_added_and_may_sign_in(page, ctx):
    users = section(page, "users")
    press(users.board, None, "add")
    answer(page, username="Desk", role="receptionist", password=NEW, again=NEW)

    assert shown(users.board, username="desk", state="Active", role="Receptionist")
    auth.sign_in(ctx, "desk", NEW, "")


def test_what_is_wrong_stands_at_its_field(page):
    users = section(page, "users")
    press(users.board, None, "add")
    answer(page, username="desk", role="receptionist", password=NEW, again="other")
    assert "differ" in page.tasks.dialog.problems["again"]
    answer(page, username="desk", role="receptionist", password="short", again="short")
    assert "12" in page.tasks.dialog.problems["password"]
    assert not shown(users.board, username="desk")


def test_accounts_are_closed_opened_unlocked_and_change_roles(page, ctx):
    doctor = user(ctx, Role.CLINICIAN, username="doctor")
    users = section(page, "users")
    users.reload()

    press(users.board, doctor.id, "disable")
    assert shown(users.board, username="doctor", state="Disabled")
    press(users.board, doctor.id, "enable")
    assert shown(users.board, username="doctor", state="Active")
    press(users.board, doctor.id, "role")
    answer(page, role="analyst")
    assert shown(users.board, username="doctor", role="Analyst")
    press(users.board, doctor.id, "password")
    answer(page, password=NEW, again=NEW)
    auth.sign_in(ctx, "doctor", NEW, "")
    for _ in range(lockout.ACCOUNT_FREE):
        with pytest.raises(Unauthenticated):
            auth.sign_in(ctx, "doctor", "wrong", "")
    users.reload()
    assert shown(users.board, username="doctor", state="Locked")
    press(users.board, doctor.id, "unlock")
    assert shown(users.board, username="doctor", state="Active")


def test_ones_own_row_offers_no_rights(page):
    users = section(page, "users")
    [own] = shown(users.board, username="admin")
    assert [action["id"] for action in own["actions"]] == ["password"]
    press(users.board, own["id"], "disable")  # a forged message
    assert shown(users.board, username="admin", state="Active")


def test_the_audit_shows_a_day_and_checks_its_chain(page, ctx, clock):
    auth.audit_denied(ctx, "/admin")
    clock.advance(days=1)
    auth.audit_denied(ctx, "/metrics")

    audit = section(page, "audit")

    assert [row["detail"] for row in audit.board.rows] == ["what: /metrics"]
    audit.heading.day = "2026-03-16"
    assert [row["detail"] for row in audit.board.rows] == ["what: /admin"]
    audit.heading._handle_msg({"id": "check"})
    assert "2 entries" in said(page)


def test_failed_jobs_are_retried(page, ctx):
    with ctx.begin() as session:
        job = Job(
            kind=JobKind.THUMBNAIL,
            subject_id=7,
            state=JobState.FAILED,
            not_before_at=ctx.clock(),
            created_at=ctx.clock(),
            finished_at=ctx.clock(),
            error="DecodeFailed",
        )
        session.add(job)
    jobs = section(page, "jobs")
    assert shown(jobs.board, subject="no. 7", error="DecodeFailed")
    assert next(tab for tab in page.tabs.tabs if tab["id"] == "jobs")["count"] == 1

    press(jobs.board, job.id, "retry")

    assert jobs.board.rows == []
    with ctx.read() as session:
        assert session.get_one(Job, job.id).state is JobState.QUEUED
    assert next(tab for tab in page.tabs.tabs if tab["id"] == "jobs")["count"] == 0


def test_what_came_twice_is_shown_and_acknowledged(page, ctx):
    study(ctx)
    with ctx.begin() as session:
        instance = session.scalars(select(Instance)).one()
        for digit, superseded_at in (("e", None), ("f", ctx.clock())):
            session.add(
                InstanceConflict(
                    instance_pk=instance.id,
                    sha256=digit * 64,
                    path=f"{digit}/{digit}/" + digit * 64 + ".dcm",
                    size_bytes=525_000,
                    source_ae_title="CT1",
                    received_at=ctx.clock(),
                    superseded_at=superseded_at,
                )
            )
    warnings = section(page, "archive")
    [later] = shown(warnings.board, what="a later object with other content", size="525 kB")
    [earlier] = shown(warnings.board, what="the earlier object, which was replaced", source="CT1")

    press(warnings.board, later["id"], "seen")
    press(warnings.board, earlier["id"], "seen")

    assert warnings.board.rows == []


def test_a_device_that_was_turned_away_is_allowed_by_one_click(page, ctx):
    for _ in range(2):
        associations.record_refusal(
            ctx.acting_as(system("listener")), "NEWCT", "10.0.0.7", "unknown calling AE title"
        )
    devices = section(page, "devices")
    [row] = devices.refused.rows
    assert (row["ae_title"], row["times"], row["address"]) == ("NEWCT", 2, "10.0.0.7")

    press(devices.refused, row["id"], "allow")

    assert associations.is_known(ctx, "NEWCT")
    assert devices.refused.rows[0]["actions"] == []
    assert shown(devices.peers, name="NEWCT", state="Active")


def test_a_device_is_added_and_edited(page, ctx):
    devices = section(page, "devices")
    press(devices.peers, None, "add")
    answer(page, peer_name="Archive", ae_title="ORTHANC", forwards=True)
    assert peers.peers(page.ctx) == []  # one that gets studies needs an address
    answer(page, peer_name="Archive", ae_title="ORTHANC", host="10.0.0.8", forwards=True)
    [row] = peers.peers(page.ctx)
    assert shown(devices.peers, forwards="Forwarded", address="10.0.0.8:104")

    press(devices.peers, row.id, "edit")
    answer(page, forwards=False, is_active=False)

    assert shown(devices.peers, name="Archive", state="Off", forwards="")


def test_a_commitment_that_was_not_reported_is_seen_and_tried_again(page, ctx, clock):
    asked = Request("1.2.3", (Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.4"),))
    request_id = commitments.ask(ctx, "CT1", "10.0.0.7", asked, frozenset()).request_id
    commitments.let_go(ctx, request_id)
    commitments.conclude(ctx, request_id)
    devices = section(page, "devices")
    assert shown(devices.commitments, device="CT1", state="Not reported yet", figures="1 not safe")
    clock.advance(days=1)
    with pytest.raises(GivenUp):
        commitments.note_failure(ctx, request_id, "Nothing answers.")
    page.reload()
    [row] = shown(devices.commitments, state="Given up", note="Nothing answers.")

    press(devices.commitments, row["id"], "report")

    assert said(page) == "The result is reported again."
    with ctx.read() as session:
        assert session.scalars(select(Job.state)).one() is JobState.QUEUED


def test_the_letterhead_is_set_once_and_a_second_editor_is_told(page, ctx):
    clinic = section(page, "clinic")
    clinic.heading._handle_msg({"id": "edit"})
    answer(page, name="Harbour Street Imaging", address="12 Harbour Street\nTown", phone="123")
    kept = site.letterhead(page.ctx)
    assert (kept.name, kept.address) == ("Harbour Street Imaging", "12 Harbour Street\nTown")

    clinic.heading._handle_msg({"id": "edit"})
    site.set_letterhead(ctx, site.Letterhead("Other", version=kept.version))
    answer(page, name="Mine")

    assert "else changed" in page.tasks.dialog.problem
    assert site.letterhead(page.ctx).name == "Other"


def test_a_change_reaches_the_open_tab_alone(page, ctx):
    users = section(page, "users")
    accounts.add_user(ctx, "desk", role=Role.RECEPTIONIST, password=NEW)
    page.heard(Topic.STUDIES)
    assert not shown(users.board, username="desk")
    page.heard(Topic.ADMIN)
    assert shown(users.board, username="desk")


def test_the_page_names_no_patient(ctx, as_role):
    study(ctx, patient_name="Muster^Maria", patient_id="P4711")
    page = Administration(as_role(Role.ADMIN))
    for name in page.sections:
        rows = [part.rows for part in section(page, name).parts if hasattr(part, "rows")]
        assert "Muster" not in str(rows)
        assert "4711" not in str(rows)


def test_the_whole_page_is_built(ctx, as_role):
    class Doc:
        def add_next_tick_callback(self, callback):
            callback()

    live = Live(ChangeFeed(ctx.sessions.kw["bind"]), Doc())
    view = page_module.page(as_role(Role.ADMIN), live)
    assert len(list(view.select())) <= 30
    with ctx.read() as session:
        assert session.scalars(select(AuditEntry)).all() == []  # looking at it is no event
