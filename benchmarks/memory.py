"""Memory as a server that has run for a while finds it."""

from pathlib import Path

import numpy as np

LEFT_BYTES = 3 << 29
_BLOCK_BYTES = 1 << 27


class Ballast:
    """Holds what is free, so that the page cache takes pages that were in use before.

    A virtual machine gets each page from its host when it is first touched. On such pages writing
    a CT slice took 1.5 ms in place of 0.15 to 0.4, whoever wrote it: rounds measured the host.
    """

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []

    def fill(self) -> None:
        """Take what is free by now, but for 1.5 GiB."""
        while _free_bytes() > LEFT_BYTES:
            self._held.append(np.ones(_BLOCK_BYTES, np.uint8))

    def release(self) -> None:
        """Give it back."""
        self._held.clear()


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("MemFree")]
    return int(line.split()[1]) * 1024
