"""`python -m listener`: the DICOM node as a process of its own, until SIGTERM."""

import argparse
import logging
import signal
import sys
import tempfile
import threading
import warnings

from clinic_panel import logs
from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.errors import ClinicError
from clinic_panel.resources import open_context
from listener.server import Node

log = logging.getLogger("listener")


def main(arguments: list[str] | None = None) -> int:
    """Serve DICOM until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m listener", description=main.__doc__)
    parser.add_argument(
        "--library-receiver",
        action="store_true",
        help="use pynetdicom's own receiver in place of the event-driven one (slower)",
    )
    options = parser.parse_args(arguments)
    logs.configure()
    warnings.simplefilter("ignore")  # pydicom's warnings quote the values of patients
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _serve(accelerated=not options.library_receiver, stop=stop)
    except ClinicError as error:
        print(f"The listener cannot start: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(*, accelerated: bool, stop: threading.Event) -> None:
    settings = Settings.read()
    with open_context(settings, system("listener")) as ctx:
        # What the library writes while it receives holds patients too: swept like our own.
        tempfile.tempdir = str(ctx.store.incoming)
        node = Node(ctx, accelerated=accelerated)
        node.start()
        try:
            log.info("AE %s listens on %s:%d", settings.ae_title, settings.dicom_host, node.port)
            print("ready", flush=True)  # noqa: T201 - the supervisor waits for this line
            stop.wait()
        finally:
            node.stop()
        log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
