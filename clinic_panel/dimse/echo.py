"""Is anybody there? C-ECHO (PS3.4 A, PS3.7 9.1.5)."""

from __future__ import annotations

import time

from pynetdicom.sop_class import Verification

from clinic_panel.dimse.association import Proposal, associated
from clinic_panel.dimse.model import Caller, Remote
from clinic_panel.errors import PeerFailure, PeerUnavailable

ANSWER_S = 10.0


def echo(caller: Caller, remote: Remote) -> float:
    """Verify an association and a message there and back; return the seconds it took.

    Raises
    ------
    PeerUnavailable, PeerFailure
        There is no association, no answer, or an answer that is no Success.
    """
    began = time.perf_counter()
    with associated(caller, remote, [Proposal(Verification)], answer_s=ANSWER_S) as association:
        answer = association.send_c_echo()
    if "Status" not in answer:
        raise PeerUnavailable("The association stands, but C-ECHO is not answered.")
    if answer.Status != 0x0000:
        raise PeerFailure(f"C-ECHO is answered with 0x{answer.Status:04X}.", status=answer.Status)
    return time.perf_counter() - began
