"""Signing in, the accounts, and how both end."""

import contextlib
import threading

import pytest
from sqlalchemy import func, select, text

from clinic_panel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    LockedOut,
    NotFound,
    Unauthenticated,
)
from clinic_panel.models.audit_log import Action, AuditEntry
from clinic_panel.models.user import LoginAttempt, Role, User, WebSession
from clinic_panel.services import accounts, auth, lockout, passwords, sessions
from clinic_panel.services.passwords import HASHER, NOBODY
from clinic_panel.services.sessions import SessionCache
from tests.factories import PASSWORD, user

NEW = "another long sentence"


def actions(ctx):
    with ctx.read() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def fail(ctx, username="doctor", times=1, address="10.0.0.9"):
    for _ in range(times):
        with pytest.raises(Unauthenticated) as caught:
            auth.sign_in(ctx, username, "wrong " + PASSWORD, address)
    return caught.value


@pytest.fixture
def doctor(ctx):
    return user(ctx, Role.CLINICIAN, username="doctor")


def test_a_sign_in_gives_a_token_that_stands_for_the_person_and_is_kept_as_a_hash(ctx, doctor):
    got = auth.sign_in(ctx, " Doctor ", PASSWORD, "10.0.0.9")

    visit = sessions.resolve(ctx, got.token, SessionCache())
    assert visit is not None
    assert visit.actor == got.actor
    assert (got.actor.username, got.actor.role) == ("doctor", Role.CLINICIAN)
    assert len(got.token) >= 43  # 256 bits in base 64
    with ctx.read() as session:
        [row] = session.execute(text("select * from web_session")).all()
        assert got.token not in str(row)
    assert actions(ctx) == [Action.SIGN_IN]


def test_each_sign_in_has_its_own_token(ctx, doctor):
    one, two = (auth.sign_in(ctx, "doctor", PASSWORD, "") for _ in range(2))

    sessions.sign_out(ctx, one.token, SessionCache())

    assert sessions.resolve(ctx, one.token, SessionCache()) is None
    assert sessions.resolve(ctx, two.token, SessionCache()) is not None


@pytest.mark.parametrize("username", ["doctor", "nobody"])
def test_a_wrong_password_and_an_unknown_name_sound_the_same(ctx, doctor, username):
    error = fail(ctx, username)

    assert type(error) is Unauthenticated
    assert error.message == auth.WRONG
    assert actions(ctx) == [Action.SIGN_IN_FAILED]


def test_a_disabled_account_sounds_like_a_wrong_password(ctx, doctor):
    user(ctx, Role.ADMIN)
    accounts.disable(ctx, "doctor")

    with pytest.raises(Unauthenticated) as caught:
        auth.sign_in(ctx, "doctor", PASSWORD, "")

    assert caught.value.message == auth.WRONG


def test_an_unknown_name_costs_the_same_hashing_as_a_known_one():
    assert not HASHER.check_needs_rehash(NOBODY)  # those of production, not of these tests


def test_the_name_somebody_typed_is_not_kept(ctx, doctor):
    fail(ctx, "my-password-in-the-wrong-field")

    with ctx.read() as session:
        for table in ("login_attempt", "audit_entry"):
            rows = session.execute(text(f"select * from {table}")).all()
            assert "my-password" not in str(rows)


def test_failures_lock_for_longer_each_time_and_the_lock_ends_by_itself(ctx, clock, doctor):
    fail(ctx, times=lockout.ACCOUNT_FREE)
    waits = []
    for _ in range(8):
        with pytest.raises(LockedOut) as caught:
            auth.sign_in(ctx, "doctor", PASSWORD, "")
        waits.append(caught.value.wait_s)
        clock.advance(seconds=caught.value.wait_s)
        fail(ctx)

    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]
    clock.advance(seconds=900)
    auth.sign_in(ctx, "doctor", PASSWORD, "")
    fail(ctx, times=lockout.ACCOUNT_FREE - 1)  # counted anew


def test_an_unknown_name_locks_like_a_known_one(ctx):
    fail(ctx, "nobody", times=lockout.ACCOUNT_FREE)

    with pytest.raises(LockedOut):
        auth.sign_in(ctx, "nobody", PASSWORD, "")


def test_one_address_that_tries_many_names_has_to_wait(ctx, doctor):
    for number in range(lockout.ADDRESS_FREE):
        fail(ctx, f"name{number}")

    with pytest.raises(LockedOut):
        auth.sign_in(ctx, "doctor", PASSWORD, "10.0.0.9")
    auth.sign_in(ctx, "doctor", PASSWORD, "10.0.0.10")


def failed_tries(ctx):
    query = select(AuditEntry).where(AuditEntry.action == Action.SIGN_IN_FAILED)
    with ctx.read() as session:
        return list(session.scalars(query.order_by(AuditEntry.id)))


@pytest.mark.parametrize("username", ["doctor", "nobody"])
def test_the_audit_says_from_where_somebody_tried(ctx, doctor, username):
    fail(ctx, username)

    [entry] = failed_tries(ctx)
    assert entry.address == "10.0.0.9"


def test_who_guesses_on_during_a_lock_is_noted_once_a_minute_and_address(ctx, clock, doctor):
    fail(ctx, times=lockout.ACCOUNT_FREE + 3)  # the last three only wait
    fail(ctx, times=2, address="10.0.0.10")
    clock.advance(seconds=5)
    fail(ctx)
    clock.advance(seconds=60)
    fail(ctx)  # the lock of 15 s is over: one more failure, and the next wait
    fail(ctx, times=2)

    noted = [entry for entry in failed_tries(ctx) if "during_lock" in entry.detail]
    assert [(entry.username, entry.address) for entry in noted] == [
        ("doctor", "10.0.0.9"),
        ("doctor", "10.0.0.10"),
        ("doctor", "10.0.0.9"),
    ]


def test_guesses_at_the_same_time_do_not_slip_past_the_lock(ctx, doctor):
    outcomes = []

    def guess():
        try:
            auth.sign_in(ctx, "doctor", "wrong " + PASSWORD, "")
        except Unauthenticated as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count(Unauthenticated) == lockout.ACCOUNT_FREE
    assert outcomes.count(LockedOut) == 12 - lockout.ACCOUNT_FREE


def test_an_admin_unlocks(ctx, doctor):
    fail(ctx, times=lockout.ACCOUNT_FREE)
    [row] = accounts.list_users(ctx)
    assert row.locked_until_at is not None

    accounts.unlock(ctx, "doctor")

    [row] = accounts.list_users(ctx)
    assert row.locked_until_at is None
    auth.sign_in(ctx, "doctor", PASSWORD, "10.0.0.10")


def test_an_idle_session_ends_and_a_used_one_does_not(ctx, clock, doctor):
    idle, used = (auth.sign_in(ctx, "doctor", PASSWORD, "").token for _ in range(2))
    for _ in range(4):
        clock.advance(minutes=5)
        sessions.resolve(ctx, used, SessionCache())

    assert sessions.resolve(ctx, idle, SessionCache()) is None
    assert sessions.resolve(ctx, used, SessionCache()) is not None


def test_no_session_is_longer_than_a_working_day(ctx, clock, doctor):
    token = auth.sign_in(ctx, "doctor", PASSWORD, "").token
    for _ in range(12 * 6):
        clock.advance(minutes=10)
        visit = sessions.resolve(ctx, token, SessionCache())

    assert visit is None


def test_a_cached_session_ends_within_five_seconds(ctx, clock, doctor):
    cache, token = SessionCache(), auth.sign_in(ctx, "doctor", PASSWORD, "").token
    sessions.resolve(ctx, token, cache)
    sessions.sign_out(ctx, token, SessionCache())  # in another process

    assert sessions.resolve(ctx, token, cache) is not None
    clock.advance(seconds=5)
    assert sessions.resolve(ctx, token, cache) is None


def test_the_sweeper_learns_which_sessions_are_still_open(ctx, clock, doctor):
    one, two = (auth.sign_in(ctx, "doctor", PASSWORD, "").token for _ in range(2))
    ids = [sessions.resolve(ctx, token, SessionCache()).session_id for token in (one, two)]
    sessions.sign_out(ctx, one, SessionCache())

    assert sessions.still_open(ctx, ids) == {ids[1]}
    clock.advance(minutes=14)
    sessions.touch(ctx, ids[1])
    sessions.touch(ctx, ids[0])
    clock.advance(minutes=14)
    assert sessions.still_open(ctx, ids) == {ids[1]}


@pytest.mark.parametrize(
    "change",
    [
        lambda ctx: accounts.disable(ctx, "doctor"),
        lambda ctx: accounts.set_password(ctx, "doctor", NEW),
        lambda ctx: accounts.change_role(ctx, "doctor", Role.ANALYST),
    ],
)
def test_a_change_of_the_account_ends_its_sessions(ctx, doctor, change):
    token = auth.sign_in(ctx, "doctor", PASSWORD, "").token

    change(ctx)

    assert sessions.resolve(ctx, token, SessionCache()) is None
    assert actions(ctx)[-1] is Action.CHANGE


def meanwhile(monkeypatch, happens):
    """Let something happen after the password was found to match and before the session opens."""
    proves = passwords.matches

    def matches(*arguments):
        found = proves(*arguments)
        monkeypatch.setattr(passwords, "matches", proves)
        happens()
        return found

    monkeypatch.setattr(passwords, "matches", matches)


def test_a_password_changed_during_the_sign_in_opens_nothing_and_stays(ctx, doctor, monkeypatch):
    meanwhile(monkeypatch, lambda: accounts.set_password(ctx, "doctor", NEW))

    with pytest.raises(Unauthenticated):
        auth.sign_in(ctx, "doctor", PASSWORD, "")

    with ctx.read() as session:
        assert session.scalar(select(func.count(WebSession.id))) == 0
    auth.sign_in(ctx, "doctor", NEW, "")


def test_a_password_changed_while_it_is_asked_for_again_proves_nothing(ctx, as_role, monkeypatch):
    desk = as_role(Role.CLINICIAN)
    meanwhile(monkeypatch, lambda: accounts.set_password(ctx, desk.actor.username, NEW))

    with pytest.raises(Unauthenticated):
        auth.reauthenticate(desk, PASSWORD)


def test_one_changes_ones_own_password_and_is_signed_out_everywhere_else(ctx, as_role):
    desk = as_role(Role.RECEPTIONIST)
    before = auth.sign_in(ctx, desk.actor.username, PASSWORD, "").token

    got = auth.change_own_password(desk, PASSWORD, NEW)

    visit = sessions.resolve(ctx, got.token, SessionCache())
    assert visit is not None
    assert visit.actor.username == desk.actor.username
    assert sessions.resolve(ctx, before, SessionCache()) is None
    assert actions(ctx)[-1] is Action.CHANGE
    auth.sign_in(ctx, desk.actor.username, NEW, "")
    with pytest.raises(Unauthenticated):
        auth.sign_in(ctx, desk.actor.username, PASSWORD, "")


@pytest.mark.parametrize(
    ("present", "new", "field"),
    [
        ("wrong " + PASSWORD, NEW, "present"),
        (PASSWORD, "short", "password"),
        (PASSWORD, PASSWORD, "password"),
    ],
)
def test_a_change_of_ones_own_password_that_is_refused_changes_nothing(
    ctx, as_role, present, new, field
):
    desk = as_role(Role.RECEPTIONIST)
    token = auth.sign_in(ctx, desk.actor.username, PASSWORD, "").token

    with pytest.raises(Invalid) as caught:
        auth.change_own_password(desk, present, new)

    assert caught.value.field == field
    assert sessions.resolve(ctx, token, SessionCache()) is not None
    assert auth.sign_in(ctx, desk.actor.username, PASSWORD, "")


def test_guesses_at_ones_own_password_are_counted_and_locked(ctx, as_role):
    desk = as_role(Role.RECEPTIONIST)
    for _ in range(lockout.ACCOUNT_FREE):
        with pytest.raises(Invalid):
            auth.change_own_password(desk, "wrong " + PASSWORD, NEW)

    with pytest.raises(LockedOut):
        auth.change_own_password(desk, PASSWORD, NEW)


def test_a_password_set_meanwhile_by_an_admin_stays(ctx, as_role, monkeypatch):
    desk = as_role(Role.CLINICIAN)
    meanwhile(monkeypatch, lambda: accounts.set_password(ctx, desk.actor.username, NEW))

    with pytest.raises(Invalid):
        auth.change_own_password(desk, PASSWORD, "a third long sentence")

    auth.sign_in(ctx, desk.actor.username, NEW, "")


def test_an_unlock_during_the_sign_in_does_not_break_it(ctx, doctor, monkeypatch):
    meanwhile(monkeypatch, lambda: accounts.unlock(ctx, "doctor"))

    assert auth.sign_in(ctx, "doctor", PASSWORD, "").actor.username == "doctor"


def test_asking_again_for_the_password_counts_failures(ctx, as_role):
    desk = as_role(Role.CLINICIAN)
    auth.reauthenticate(desk, PASSWORD)
    for _ in range(lockout.ACCOUNT_FREE):
        with pytest.raises(Unauthenticated):
            auth.reauthenticate(desk, "wrong " + PASSWORD)

    with pytest.raises(LockedOut):
        auth.reauthenticate(desk, PASSWORD)


def test_a_hash_of_another_cost_is_renewed_on_sign_in(ctx, doctor, monkeypatch):
    monkeypatch.setattr(passwords, "HASHER", HASHER)
    auth.sign_in(ctx, "doctor", PASSWORD, "")

    with ctx.read() as session:
        kept = session.scalar(select(User.password_hash))
    assert not HASHER.check_needs_rehash(kept)
    assert kept.startswith("$argon2id$")
    auth.sign_in(ctx, "doctor", PASSWORD, "")


def test_a_stolen_table_cannot_be_guessed_without_the_secret(ctx, doctor):
    with ctx.read() as session:
        kept = session.scalar(select(User.password_hash))

    assert passwords.matches(ctx.settings.secret, kept, PASSWORD)
    assert not passwords.matches(b"another secret", kept, PASSWORD)


def test_an_account_is_made_and_used(ctx):
    accounts.add_user(ctx, "Front.Desk", role=Role.RECEPTIONIST, password=NEW, display_name="Desk")

    assert auth.sign_in(ctx, "front.desk", NEW, "").actor.display_name == "Desk"
    [row] = accounts.list_users(ctx)
    assert (row.username, row.role, row.seen_at) == ("front.desk", Role.RECEPTIONIST, ctx.clock())
    with pytest.raises(Conflict):
        accounts.add_user(ctx, "FRONT.desk", role=Role.ANALYST, password=NEW)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("desk", "short"),
        ("desk", "a" * 12),
        ("desk", "my desk password"),
        ("desk", "long" * 300),
        ("d", NEW),
        ("../desk", NEW),
        ("de sk", NEW),
    ],
)
def test_weak_passwords_and_odd_names_are_refused(ctx, username, password):
    with pytest.raises(Invalid):
        accounts.add_user(ctx, username, role=Role.ANALYST, password=password)


def test_the_demo_may_have_a_weak_password_and_an_admin_may_not_give_one(ctx, as_role):
    accounts.add_user(ctx, "demo", role=Role.ANALYST, password="demo", any_password=True)

    with pytest.raises(Invalid):
        accounts.add_user(
            as_role(Role.ADMIN), "demo2", role=Role.ANALYST, password="demo", any_password=True
        )


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMIN, Role.SYSTEM)])
def test_only_an_admin_manages_accounts(as_role, role):
    who = as_role(role)
    for call in (
        lambda: accounts.list_users(who),
        lambda: accounts.add_user(who, "mallory", role=Role.ADMIN, password=NEW),
        lambda: accounts.set_password(who, role.value, NEW),
        lambda: accounts.change_role(who, role.value, Role.ADMIN),
        lambda: accounts.disable(who, role.value),
        lambda: accounts.enable(who, role.value),
        lambda: accounts.unlock(who, role.value),
    ):
        with pytest.raises(Forbidden):
            call()


def test_nobody_changes_their_own_rights(ctx, as_role):
    user(ctx, Role.ADMIN, username="other")
    admin = as_role(Role.ADMIN)

    for call in (accounts.disable, lambda c, name: accounts.change_role(c, name, Role.ANALYST)):
        with pytest.raises(Forbidden):
            call(admin, "admin")


def test_the_last_admin_stays(ctx):
    user(ctx, Role.ADMIN)
    with pytest.raises(Conflict):
        accounts.disable(ctx, "admin")
    with pytest.raises(Conflict):
        accounts.change_role(ctx, "admin", Role.ANALYST)

    user(ctx, Role.ADMIN, username="second")
    accounts.disable(ctx, "admin")
    with pytest.raises(Conflict):
        accounts.disable(ctx, "second")
    accounts.enable(ctx, "admin")
    accounts.disable(ctx, "second")


def test_two_admins_who_close_each_other_leave_one(ctx):
    names = ["admin", "second"]
    for name in names:
        user(ctx, Role.ADMIN, username=name)
    barrier = threading.Barrier(2)

    def close(name):
        barrier.wait()
        with contextlib.suppress(Conflict):
            accounts.disable(ctx, name)

    threads = [threading.Thread(target=close, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with ctx.read() as session:
        assert session.scalar(select(func.count()).where(User.is_active)) == 1


def test_an_unknown_account_and_the_role_of_processes_are_refused(ctx, doctor):
    with pytest.raises(NotFound):
        accounts.disable(ctx, "nobody")
    with pytest.raises(Invalid):
        accounts.change_role(ctx, "doctor", Role.SYSTEM)
    with pytest.raises(Invalid):
        accounts.add_user(ctx, "robot", role=Role.SYSTEM, password=NEW)


def test_what_is_denied_is_noted(ctx, as_role):
    auth.audit_denied(as_role(Role.ANALYST), "/admin")

    with ctx.read() as session:
        [entry] = session.scalars(select(AuditEntry))
    assert (entry.action, entry.username, entry.detail) == (
        Action.DENIED,
        "analyst",
        {"what": "/admin"},
    )


def test_old_rows_are_cleared_away(ctx, clock, doctor):
    fail(ctx)
    auth.sign_in(ctx, "doctor", PASSWORD, "")
    clock.advance(days=8)
    auth.sign_in(ctx, "doctor", PASSWORD, "")

    with ctx.read() as session:
        assert session.scalar(select(func.count(WebSession.id))) == 1
        assert session.scalar(select(func.count(LoginAttempt.id))) == 1
