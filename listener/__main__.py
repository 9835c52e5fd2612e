"""`python -m listener`: the DICOM node as a process of its own, until SIGTERM."""

import argparse
import gc
import logging
import os
import socket
import sys
import tempfile
import threading
import warnings

from clinic_panel import logs
from clinic_panel.config import Settings
from clinic_panel.context import Context, system
from clinic_panel.errors import ClinicError
from clinic_panel.resources import open_context
from clinic_panel.signals import on_stop
from listener.limits import Limits
from listener.processes import Workers, end_with_parent
from listener.server import Node, adopt
from listener.sockets import bound_socket

log = logging.getLogger("listener")


def main(arguments: list[str] | None = None) -> int:
    """Serve DICOM until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m listener", description=main.__doc__)
    parser.add_argument(
        "--library-receiver",
        action="store_true",
        help="use pynetdicom's own receiver in place of the event-driven one (slower)",
    )
    parser.add_argument("--inherit", type=int, default=-1, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logs.configure()
    os.umask(0o077)  # what is made here holds patients: nobody else's to read
    warnings.simplefilter("ignore")  # pydicom's warnings quote the values of patients
    accelerated, stop = not options.library_receiver, threading.Event()
    on_stop(stop.set)
    try:
        settings = Settings.read()
        with open_context(settings, system("listener")) as ctx:
            # What the library writes while it receives holds patients too: swept like our own.
            tempfile.tempdir = str(ctx.store.incoming)
            if options.inherit >= 0:
                end_with_parent(stop)
                listening = socket.socket(fileno=options.inherit)
                limits = Limits().shared_by(settings.dicom_processes)
                _serve(Node(ctx, limits=limits, accelerated=accelerated, listening=listening), stop)
            elif settings.dicom_processes > 1:
                _serve_together(ctx, stop, accelerated=accelerated)
            else:
                _serve(Node(ctx, accelerated=accelerated), stop)
    except ClinicError as error:
        print(f"The listener cannot start: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(node: Node, stop: threading.Event) -> None:
    settings = node.ctx.settings
    node.start()
    try:
        log.info("AE %s listens on %s:%d", settings.ae_title, settings.dicom_host, node.port)
        gc.freeze()  # what is loaded by now stays: no need to look through it again and again
        print("ready", flush=True)  # noqa: T201 - who started it waits for this line
        stop.wait()
    finally:
        node.stop()
    log.info("stopped")


def _serve_together(ctx: Context, stop: threading.Event, *, accelerated: bool) -> None:
    """Start the processes that share the port, and keep them running."""
    settings = ctx.settings
    with bound_socket(settings) as listening:
        adopt(ctx)
        options = () if accelerated else ("--library-receiver",)
        workers = Workers(listening, settings.dicom_processes, options)
        try:
            workers.start()
            log.info("%d processes: %s", settings.dicom_processes, workers.pids)
            print("ready", flush=True)  # noqa: T201 - the supervisor waits for this line
            workers.watch(stop)
        finally:
            workers.stop()


if __name__ == "__main__":
    sys.exit(main())
