"""What an exercise says: one line a check."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

TESTER = "SERVICECHECK"  # AE title of the tester: no room's, so its queries are no scanner's


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "PASS"
    FAILED = "FAIL"
    NOT_OFFERED = "NOT OFFERED"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to exercise, and as whom."""

    host: str = "127.0.0.1"
    port: int = 11112
    called_ae_title: str = "CLINIC"
    ae_title: str = TESTER
    # Of a peer only: verification, one study query, and one test object stored.
    is_peer: bool = False
    tls: ssl.SSLContext | None = None  # with which it is called; None: unencrypted


@dataclass(frozen=True, slots=True)
class Line:
    """One check: what was asked, what the standard wants, what came."""

    service: str
    asked: str
    section: str  # of PS3.4, unless another part is named
    expected: str
    came: str
    outcome: Outcome
    duration_ms: int


def summary(lines: Iterable[Line]) -> str:
    """Return the outcomes as ``24 passed, 1 failed, 2 not offered``."""
    counts = Counter(line.outcome for line in lines)
    words = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.NOT_OFFERED: "not offered"}
    return ", ".join(f"{counts[outcome]} {word}" for outcome, word in words.items())


def has_failed(lines: Iterable[Line]) -> bool:
    """Whether a check failed; a service that is not offered is no failure."""
    return any(line.outcome is Outcome.FAILED for line in lines)
