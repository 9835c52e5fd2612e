"""One database, one secret key: no process goes on with another, and none makes one by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, select

import clinic_panel as cp
from clinic_panel import app, doctor, logs
from clinic_panel.__main__ import main
from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.errors import SettingsError, Unauthenticated
from clinic_panel.models.audit_log import Action
from clinic_panel.models.site import SiteSetting
from clinic_panel.models.user import Role
from clinic_panel.resources import open_context
from clinic_panel.secret import fingerprint
from clinic_panel.services import audit, auth
from clinic_panel.tasks import runner
from tests import factories


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def used(ctx: Context, settings: Settings) -> Context:
    """A clinic that was open once, with an account and an entry of the audit."""
    with open_context(settings, system("test")):
        pass
    factories.user(ctx, Role.CLINICIAN)
    with ctx.begin() as session:
        audit.record(ctx, session, Action.VIEW)
    return ctx


def elsewhere(settings: Settings, home: Path, secret_key: str = "") -> Settings:
    """Settings of another home with the same database."""
    return Settings.read({}, home=home, database_url=settings.url, secret_key=secret_key or None)


def opens(settings: Settings) -> None:
    with open_context(settings, system("test")):
        pass


def test_another_home_makes_no_second_key(used, settings, tmp_path):
    other = tmp_path / "other"
    with pytest.raises(SettingsError, match=r"no secret key in .*/other/secret\.key") as refused:
        cp.connect(home=other, database_url=settings.url)
    assert fingerprint(used.settings.secret)[:8] in refused.value.message
    assert used.settings.secret.decode() not in refused.value.message
    assert not (other / "secret.key").exists()

    other.mkdir(exist_ok=True)
    (other / "secret.key").write_bytes(used.settings.secret)
    with cp.connect(home=other, database_url=settings.url) as clinic:
        assert clinic.patients().empty
    assert audit.verify(used).broken_ids == ()


def serves(settings: Settings) -> None:
    app.serve(settings)


def works(settings: Settings) -> None:
    runner.work(settings, tell=pytest.fail)


@pytest.mark.parametrize("start", [opens, serves, works])
def test_no_process_starts_with_another_key(used, settings, tmp_path, monkeypatch, start):
    monkeypatch.setattr(logs, "configure", lambda: None)
    for name in ("BOKEH_RESOURCES", "BOKEH_ALLOW_WS_ORIGIN"):
        monkeypatch.setenv(name, "")
    wrong = elsewhere(settings, tmp_path / "other", "another clinic's")
    with pytest.raises(SettingsError, match=r"CLINIC_SECRET_KEY .* is not the one"):
        start(wrong)
    opens(elsewhere(settings, tmp_path / "third", used.settings.secret.decode()))


def test_who_began_the_audit_before_there_were_fingerprints_has_the_key(used, settings, tmp_path):
    with used.begin() as session:
        session.execute(delete(SiteSetting))
    wrong = elsewhere(settings, tmp_path / "other", "another clinic's")
    with pytest.raises(SettingsError):
        opens(wrong)
    opens(settings)
    with used.read() as session:
        [kept] = session.scalars(select(SiteSetting))
    assert kept.value == {"fingerprint": fingerprint(used.settings.secret)}


def test_a_lost_key_is_told_by_the_doctor_and_renewed_on_request(used, settings, tmp_path):
    (settings.home / "secret.key").unlink()
    lost = Settings.read({}, home=settings.home)
    check = next(one for one in doctor.examine(lost) if one.name == "secret key")
    assert not check.is_well
    assert "no secret key in" in check.found
    assert "renew-key" in check.mend
    assert not lost.has_secret  # the look made none

    said = CliRunner().invoke(main, ["db", "renew-key", "--home", str(settings.home)])
    assert said.exit_code == 0, said.output
    with open_context(lost, system("test")) as ctx:
        assert ctx.settings.secret != used.settings.secret
        assert audit.verify(ctx).entries == 2
        with pytest.raises(Unauthenticated):
            auth.sign_in(ctx, "clinician", factories.PASSWORD, "")
