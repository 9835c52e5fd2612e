"""The tester's side of the wire: associations, one check after the other, all timed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import Verification

from clinic_panel.checkpoint import mended
from clinic_panel.errors import PeerUnavailable
from clinic_panel.exercise.lines import Line, Outcome, Target

TIMEOUT_S = 20.0
ENDED = "no answer: the association has ended"
SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)


class Broken(Exception):
    """The other side ended the association, or did not answer."""


@dataclass(frozen=True, slots=True)
class Came:
    """What a check found: in words, and whether it is as expected."""

    text: str
    is_expected: bool


class Bench:
    """Opens associations to one target and turns checks into lines."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._is_reached = False
        # pynetdicom logs identifiers by itself unless it is told not to before an AE is made.
        _config.LOG_HANDLER_LEVEL = "none"

    @contextmanager
    def associated(
        self,
        *contexts: tuple[str, Sequence[str]],
        roles: Sequence[str] = (),
        handlers: Sequence[Any] = (),
        silence_s: float = TIMEOUT_S,
    ) -> Iterator[Association]:
        """Open an association; released at the end.

        Parameters
        ----------
        contexts
            Abstract syntaxes with the transfer syntaxes offered.
        roles
            Classes whose SCP we are, as C-GET needs (PS3.7 D.3.3.4).
        silence_s
            For how long the other side may say nothing.

        Raises
        ------
        PeerUnavailable
            Nobody is there, or the association was refused.
        """
        target = self.target
        self._reach()
        ae = AE(ae_title=target.ae_title)
        ae.acse_timeout = ae.dimse_timeout = TIMEOUT_S
        ae.network_timeout = max(TIMEOUT_S, silence_s)
        ae.connection_timeout = TIMEOUT_S
        # Verification as well: else an association without any context is aborted, as if refused.
        ae.add_requested_context(Verification)
        for abstract, syntaxes in contexts:
            if abstract != Verification:
                ae.add_requested_context(abstract, list(syntaxes))
        association = ae.associate(
            target.host,
            target.port,
            ae_title=target.called_ae_title,
            ext_neg=[build_role(uid, scp_role=True) for uid in roles],
            evt_handlers=list(handlers),
            tls_args=(target.tls, target.host) if target.tls is not None else None,
        )
        mended(association)
        if not association.is_established:
            if association.is_rejected:
                raise PeerUnavailable(
                    f"{target.called_ae_title} refuses {target.ae_title}: let it in there, or call "
                    "under a title that is known."
                )
            how = "" if target.tls is None else " over TLS: certificate or setting may differ"
            raise PeerUnavailable(
                f"{target.called_ae_title} does not answer {target.ae_title}{how}."
            )
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _reach(self) -> None:
        """Look once whether anybody is there: pynetdicom would leave a socket open."""
        if self._is_reached:
            return
        host, port = self.target.host, self.target.port
        try:
            socket.create_connection((host, port), TIMEOUT_S).close()
        except OSError:
            raise PeerUnavailable(f"Nothing answers at {host}:{port}.") from None
        self._is_reached = True

    def check(
        self, service: str, asked: str, section: str, expected: str, act: Callable[[], Came]
    ) -> Line:
        """Run one check and time it."""
        began = time.perf_counter()
        try:
            came = act()
        except (Broken, PeerUnavailable) as error:
            came = Came(str(error), is_expected=False)
        except RuntimeError:  # what pynetdicom makes of a lost association
            came = Came(ENDED, is_expected=False)
        except ValueError as error:
            came = Came(f"no answer ({type(error).__name__})", is_expected=False)
        outcome = Outcome.PASSED if came.is_expected else Outcome.FAILED
        took = round((time.perf_counter() - began) * 1000)
        return Line(service, asked, section, expected, came.text, outcome, took)

    def not_offered(self, service: str, section: str, what: str) -> Line:
        """Say that a service was not accepted."""
        text = "no presentation context accepted"
        return Line(service, what, section, "offered or not", text, Outcome.NOT_OFFERED, 0)


def accepts(association: Association, sop_class: str) -> bool:
    """Whether a context of the class was accepted."""
    return any(cx.abstract_syntax == sop_class for cx in association.accepted_contexts)


def some(count: int, what: str = "answer") -> str:
    """Return ``1 answer`` or ``3 answers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def status_of(answer: Dataset) -> int:
    """Return the status of an answer.

    Raises
    ------
    Broken
        There is none.
    """
    if "Status" not in answer:
        raise Broken(ENDED)
    return int(answer.Status)


def statuses(answer: Dataset, *expected: int, mask: int = 0xFFFF) -> Came:
    """Compare the status of an answer with those that are right.

    Parameters
    ----------
    mask
        Bits that count, where the last digits are the implementation's own.
    """
    status = status_of(answer)
    return Came(f"0x{status:04X}", status & mask in expected)
