"""The log says where, never what."""

import logging
import subprocess
import sys

from clinic_panel.logs import Discreet, where

SECRET = "Muster^Maria"


def failed():
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"no {SECRET}") from error
    except ValueError as error:
        return error


def line(name, message, *args, exc_info=None):
    record = logging.LogRecord(name, logging.ERROR, "/x/module.py", 7, message, args, exc_info)
    return Discreet().format(record)


def test_an_error_is_its_type_and_its_frames():
    said = where(failed())

    assert said.startswith("ValueError < test_logs.py:")
    assert "after < KeyError" in said or "after KeyError" in said
    assert SECRET not in said


def test_our_own_words_are_kept_and_those_of_libraries_are_not():
    assert "job 7 failed" in line("clinic_panel.tasks.runner", "job %d failed", 7)
    said = line("bokeh.server.protocol_handler", "error handling message %r", SECRET)
    assert SECRET not in said
    assert "module:7" in said


def test_a_traceback_is_written_without_its_text():
    try:
        raise failed()
    except ValueError:
        said = line("bokeh", "failed", exc_info=sys.exc_info())

    assert "ValueError < test_logs.py" in said
    assert SECRET not in said


# In a process of its own: under pytest the libraries find handlers and bring none.
A_SERVER = f"""
import logging
from clinic_panel import app, logs
logs.configure()
for name in ("bokeh.server.protocol_handler", "panel.reactive", "urllib3", "sqlalchemy.engine"):
    try:
        raise ValueError("{SECRET}")
    except ValueError:
        logging.getLogger(name).exception("cannot take in %r", "{SECRET}")
logging.getLogger("panel").info("{SECRET}")
logging.getLogger("clinic_panel.app").info("our word")
"""


def test_the_libraries_of_the_web_server_are_silenced_too():
    run = subprocess.run(
        [sys.executable, "-c", A_SERVER], capture_output=True, text=True, timeout=120, check=True
    )
    lines = run.stderr.splitlines()
    assert SECRET not in run.stdout + run.stderr
    assert sum("ValueError < <string>:" in line for line in lines) == 4
    assert sum("our word" in line for line in lines) == 1
    assert len(lines) == 5
