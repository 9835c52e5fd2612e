"""What a process writes to its log: ids, counts and places, never a value of a patient."""

from __future__ import annotations

import logging
import sys
import traceback
from itertools import chain
from pathlib import PurePath

OURS = ("clinic_panel", "listener", "migrations", "__main__")
# Their own sentences speak of addresses and process numbers only.
HARMLESS = ("uvicorn.error", "alembic")
MAX_FRAMES = 8


def where(error: BaseException) -> str:
    """Return type and frames of an error, without its message, which may quote a patient.

    The innermost frame comes first.
    """
    frames = traceback.extract_tb(error.__traceback__)[::-1][:MAX_FRAMES]
    places = (f"{PurePath(f.filename).name}:{f.lineno} in {f.name}" for f in frames)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    after = [f"after {where(cause)}"] if cause is not None else []
    return " < ".join(chain([type(error).__name__], places, after))


class Discreet(logging.Formatter):
    """One line a record; what a library says is shortened to where it said it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; messages of other people's code and of exceptions are left out."""
        if _speaks_freely(record.name):
            text = record.getMessage()
        else:
            text = f"{record.levelname.lower()} at {record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {where(record.exc_info[1])}"
        return f"{self.formatTime(record)} {record.levelname} {record.name}: {text}"


def configure(level: int = logging.INFO) -> None:
    """Write the log of this process to standard error, discreetly."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _take_over()
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)


def _take_over() -> None:
    """Let no library write on its own: Bokeh and Panel bring handlers that know no discretion."""
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and (logger.handlers or not logger.propagate):
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)


def _speaks_freely(name: str) -> bool:
    return name.split(".")[0] in OURS or name.startswith(HARMLESS)
