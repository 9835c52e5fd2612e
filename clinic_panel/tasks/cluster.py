"""Where computations run: Dask processes of our own on this machine, or a cluster elsewhere."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import dask
import distributed.utils
from distributed import Client, Future, LocalCluster

from clinic_panel.config import Settings

log = logging.getLogger(__name__)

MEMORY_BYTES = 3 << 29  # of one process; above it the task ends, not the machine
CONNECT_S = 5

CONFIG = {
    # Whose process died is tried once more; then the job has failed a try.
    "distributed.scheduler.allowed-failures": 1,
    # Pixels and texts never go to a disk that is not the archive.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    # Giving large arrays back to the system after each image halves the rate.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 256 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
    "distributed.logging.distributed": "error",
    # A process that died is back at once, and all share the memory of what they import.
    "distributed.worker.multiprocessing-method": "forkserver",
}
# What the first task of a process would otherwise wait for.
PRELOAD = [
    "distributed",
    "distributed.nanny",
    "clinic_panel.documents.pdf",
    "clinic_panel.tasks.dicom",
    "clinic_panel.tasks.report",
    "clinic_panel.imaging.thumbnail",
    "weasyprint",
]


class Cluster:
    """A connection to Dask that is made again when it was lost."""

    def __init__(self, settings: Settings, workers: int | None = None) -> None:
        """Remember what to connect to.

        Parameters
        ----------
        workers
            Processes of our own, one task each at a time; by default one a core, at most four.
        """
        self._settings = settings
        self._workers = workers or max(1, min(4, os.cpu_count() or 1))
        self._local: LocalCluster | None = None
        self._client: Client | None = None

    @property
    def workers(self) -> int:
        """How many tasks run at a time, as of the last ``connect``."""
        return self._workers

    def connect(self) -> bool:
        """Connect unless it is done; return whether there is someone to compute.

        Waits a few seconds at most for a scheduler that is away.
        """
        if self._client is not None and self._client.status not in ("running", "connecting"):
            self._client.close(timeout=1)
            self._client = None
        if self._client is None and not self._open():
            return False
        assert self._client is not None
        if self._client.status != "running":
            return False  # it connects again by itself
        if self._settings.dask_scheduler:
            try:
                self._workers = sum(self._client.nthreads().values())
            except (OSError, TimeoutError):
                return False
        return self._workers > 0

    def _open(self) -> bool:
        # For good, not for this call: a process that died is started again by the same rules.
        dask.config.set(CONFIG)
        try:
            self._client = Client(
                self._settings.dask_scheduler or self._own(),
                set_as_default=False,
                timeout=CONNECT_S,
                name="clinic-runner",
            )
        except (OSError, TimeoutError) as error:
            log.warning("Dask does not answer: %s", type(error).__name__)
            return False
        return True

    def _own(self) -> LocalCluster:
        if self._local is None:
            # Dask would preload pandas, and import it here too, for most of a second.
            distributed.utils._forkserver_preload_set = True
            multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
            self._local = LocalCluster(
                n_workers=self._workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",  # whoever reaches a scheduler runs code
                dashboard_address=None,
                # Without one its health page takes port 8787, or complains that another has it.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                memory_limit=MEMORY_BYTES,
                local_directory=str(self._settings.home / "dask"),
                silence_logs=logging.ERROR,
            )
        return self._local

    def submit(self, function: Callable[..., Any], *arguments: Any, key: str) -> Future:
        """Send one call; asked for twice under one key it is computed once."""
        assert self._client is not None
        return self._client.submit(function, *arguments, key=key, pure=True)

    def end_worker_of(self, future: Future) -> None:
        """End the process that computes something for too long, and start another."""
        assert self._client is not None
        key = future.key
        busy = [name for name, keys in self._client.processing().items() if key in keys]
        future.cancel(force=True)
        if busy:
            self._client.restart_workers(busy, timeout=CONNECT_S, raise_for_error=False)

    def close(self) -> None:
        """Let go of the cluster; processes of our own end."""
        if self._client is not None:
            self._client.close(timeout=1)
        if self._local is not None:
            with contextlib.suppress(TimeoutError):  # what is left ends with this process
                self._local.close(timeout=5)
