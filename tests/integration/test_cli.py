"""The command line: what it says, how it ends, and that it never shows a traceback."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select, text

from clinic_panel.__main__ import main
from clinic_panel.context import system
from clinic_panel.models.imaging import Instance
from clinic_panel.models.job import Job
from clinic_panel.models.user import Role, User
from clinic_panel.resources import build_engine, open_context
from clinic_panel.services import accounts, auth
from tests.factories import PASSWORD
from tests.factories import user as account


class Cli:
    """Runs commands on one home."""

    def __init__(self, settings):
        self.environ = settings.environ()

    def __call__(self, *words, stdin="", exit_code=0, **environ):
        found = CliRunner().invoke(
            main, list(words), input=stdin, env={**self.environ, **environ}, prog_name="clinic"
        )
        assert "Traceback" not in found.output
        assert found.exit_code == exit_code, found.output
        return found.output


@pytest.fixture
def cli(settings):
    return Cli(settings)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "medium"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(get_testdata_file("CT_small.dcm"), folder / "deep" / "1")
    shutil.copy(get_testdata_file("MR_small.dcm"), folder / "2.dcm")
    (folder / "README.TXT").write_text("no image")
    (folder / "link.dcm").symlink_to(get_testdata_file("CT_small.dcm"))
    return folder


def test_every_command_has_help():
    def walk(command, words):
        found = CliRunner().invoke(main, [*words, "--help"])
        assert found.exit_code == 0
        assert "Usage:" in found.output
        for name, child in getattr(command, "commands", {}).items():
            walk(child, [*words, name])

    walk(main, [])


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from clinic_panel.__main__ import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'panel', 'bokeh', 'pydicom', 'sqlalchemy', 'dask', 'numpy', 'param'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_setting_is_named(cli):
    said = cli("user", "list", exit_code=1, CLINIC_COLOUR="red")
    assert said == "Error: Unknown setting CLINIC_COLOUR.\n"


def test_a_fault_is_one_line_without_what_it_says(cli, monkeypatch):
    def fail(_ctx):
        raise KeyError("Muster^Maria")

    monkeypatch.setattr(accounts, "list_users", fail)
    said = cli("user", "list", exit_code=1)
    assert said.startswith("Error: something went wrong (KeyError < test_cli.py")
    assert "Muster" not in said


def test_accounts_are_made_listed_closed_and_opened(cli, settings):
    made = cli(
        "user", "add", "chief", "--role", "admin", "--name", "The Chief", "--password-stdin",
        stdin=PASSWORD + "\n",
    )  # fmt: skip
    assert made == "chief may sign in as admin.\n"
    cli("user", "add", "desk", "--role", "receptionist", "--password-stdin", stdin=PASSWORD + "\n")
    assert "The Chief" in cli("user", "list")

    cli("user", "disable", "desk")
    assert "disabled" in cli("user", "list")
    cli("user", "unlock", "desk")
    assert "disabled" not in cli("user", "list")
    cli("user", "passwd", "desk", "--password-stdin", stdin="another long sentence\n")

    with open_context(settings, system("test")) as ctx:
        auth.sign_in(ctx, "desk", "another long sentence", "")
        auth.sign_in(ctx, "chief", PASSWORD, "")


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["add", "desk", "--role", "admin", "--password-stdin"], "short\n", "at least 12"),
        (["add", "admin", "--role", "admin", "--password-stdin"], PASSWORD + "\n", "taken"),
        (["disable", "nobody"], "", "no such account"),
        (["disable", "admin"], "", "last administrator"),
    ],
)
def test_what_is_refused_is_one_line(cli, ctx, words, stdin, said):
    account(ctx, Role.ADMIN)
    output = cli("user", *words, stdin=stdin, exit_code=1)
    assert said in output
    assert len(output.splitlines()) == 1


def test_a_password_is_never_an_argument(cli):
    said = cli("user", "add", "desk", "--role", "admin", exit_code=2)
    assert "--password-stdin" in said
    said = cli("user", "add", "desk", "--role", "admin", "--password", PASSWORD, exit_code=2)
    assert "--password" in said


def test_files_folders_and_zips_are_taken_once(cli, ctx, files, tmp_path):
    said = cli("import", str(files))
    assert said == "2 kept, 1 no DICOM object\n"
    packed = tmp_path / "medium.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(get_testdata_file("CT_small.dcm"), "../../../etc/ct.dcm")
        archive.write(get_testdata_file("rtplan.dcm"), "rt.dcm")
        archive.writestr("DICOMDIR", b"x")

    assert cli("import", str(packed)) == "1 kept, 1 here already\n"

    with ctx.read() as session:
        kept = session.scalars(select(Instance)).all()
        assert len(kept) == 3
        assert session.scalar(select(Job.id).limit(1)) is not None
        ct = next(row for row in kept if row.rows == 128)
    stored = ctx.store.path(ct.path)
    assert stored.read_bytes() == Path(get_testdata_file("CT_small.dcm")).read_bytes()
    assert not list(Path(ctx.settings.home).glob("tmp*"))


def test_the_same_identifier_with_other_content_is_said(cli, files, tmp_path):
    cli("import", str(files))
    other = dcmread(files / "2.dcm")
    other.PatientComments = "changed"
    other.save_as(tmp_path / "other.dcm")

    assert "1 differs from what is here" in cli("import", str(tmp_path / "other.dcm"), exit_code=1)


def test_nothing_to_import_is_an_error(cli, tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    assert "no DICOM object" in cli("import", str(tmp_path / "note.txt"), exit_code=1)
    assert "does not exist" in cli("import", str(tmp_path / "gone"), exit_code=1)


def test_a_zip_that_would_grow_without_end_is_refused(cli, tmp_path):
    trap = tmp_path / "trap.zip"
    with zipfile.ZipFile(trap, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(80 << 20))
    assert "trap" in cli("import", str(trap), exit_code=1)


def test_a_sound_archive_verifies(cli, files):
    cli("import", str(files))
    assert "2 files and 2 audit entries checked, 0 problem(s)" in cli("verify")
    assert "1 files" in cli("verify", "--sample", "1")


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "stranger"])
def test_every_harm_to_the_archive_is_found(cli, ctx, files, harm):
    cli("import", str(files))
    with ctx.read() as session:
        row = session.scalars(select(Instance)).first()
    path = ctx.store.path(row.path)
    if harm == "flip":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "remove":
        path.unlink()
    else:
        path = path.with_name("0" * 64 + ".dcm")
        shutil.copy(get_testdata_file("rtplan.dcm"), path)
        old = time.time() - 3600
        os.utime(path, (old, old))

    said = cli("verify", exit_code=1)

    assert "1 problem(s)" in said
    assert (f"instance {row.id}:" in said) == (harm != "stranger")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_changed_audit_entry_is_found(cli, ctx):
    account(ctx, Role.ADMIN)
    for _ in range(3):
        auth.audit_denied(ctx, "/admin")
    with ctx.begin() as session:
        session.execute(text("drop trigger audit_entry_final_update"))
        session.execute(text("update audit_entry set username = 'nobody' where id = 2"))

    assert "audit entry 2:" in cli("verify", exit_code=1)


def test_the_schema_goes_up_and_down(cli, settings):
    head = cli("db", "current")
    assert "this program" in head
    assert cli("db", "downgrade", "base").startswith("empty")
    assert "clinic db upgrade" in cli("user", "list", exit_code=1)
    assert cli("db", "upgrade") == head
    assert "no such revision" in cli("db", "upgrade", "9999", exit_code=1)


def test_a_home_without_a_clinic_stays_empty(tmp_path):
    found = CliRunner().invoke(main, ["verify", "--home", str(tmp_path / "none")])
    assert (found.exit_code, "clinic db upgrade" in found.output) == (1, True)
    assert not (tmp_path / "none").exists()


def test_nobody_else_reads_what_is_made_in_a_home_that_others_may_enter(tmp_path):
    home = tmp_path / "shared"
    before = os.umask(0o022)
    try:
        home.mkdir(mode=0o755)
        found = CliRunner().invoke(main, ["db", "upgrade", "--home", str(home)])
        assert found.exit_code == 0, found.output
        assert os.umask(0o022) == 0o022  # as it was
    finally:
        os.umask(before)
    made = {path.name: path.stat().st_mode & 0o077 for path in home.rglob("*")}
    assert "clinic.db" in made
    assert not any(made.values()), made


def test_a_taken_port_is_one_line(cli, settings):
    import socket

    with socket.socket() as taken:
        taken.bind((settings.http_host, settings.http_port))
        taken.listen()
        said = cli("serve", exit_code=1)
    assert f"Port {settings.http_port} is taken" in said
    assert len(said.splitlines()) == 1


def test_the_doctor_names_what_is_wrong_and_how_to_mend_it(cli, ctx, settings):
    said = cli("doctor", exit_code=1)
    assert "FAIL administrator: 0 account(s)" in said
    assert "clinic user add" in said
    assert "ok   migrations" in said
    assert "ok   codecs" in said

    engine = build_engine(settings)
    with engine.begin() as connection:
        connection.execute(text("delete from alembic_version"))
    engine.dispose()
    assert "FAIL migrations" in cli("doctor", exit_code=1)


def test_the_doctor_survives_a_database_that_is_away(cli):
    said = cli("doctor", exit_code=1, CLINIC_DATABASE_URL="postgresql://127.0.0.1:1/clinic")
    assert "FAIL" in said
    assert "does not answer" in said


def test_an_administrator_of_the_command_line_is_in_the_audit(cli, ctx):
    cli("user", "add", "desk", "--role", "receptionist", "--password-stdin", stdin=PASSWORD + "\n")
    with ctx.read() as session:
        assert session.scalar(select(User.username)) == "desk"
        assert session.execute(text("select username, action from audit_entry")).all() == [
            ("cli", "create")
        ]
