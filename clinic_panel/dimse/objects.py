"""Which presentation context a stored object goes out in, and what is sent in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clinic_panel.dimse.outgoing import MOST_CONTEXTS, Agreed
from clinic_panel.dimse.store import FilePayload, Payload, StoreSender
from clinic_panel.errors import ClinicError, NotUnderstood
from clinic_panel.imaging.decoding import DECODER_ERRORS
from clinic_panel.imaging.opened import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from clinic_panel.imaging.pixels import Decoder
from clinic_panel.imaging.reencode import Reencoded

# What every application entity can read, in the order we would rather send (PS3.5 10.1).
PLAIN: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
# Said here of objects that are not sent (PS3.4 B.2.3, PS3.7 C).
NOT_SUPPORTED: Final = 0x0122
UNREADABLE: Final = 0xC000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the archive."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    @property
    def kind(self) -> tuple[str, str]:
        """What a presentation context for it needs: SOP class and stored transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


def proposals(
    kinds: Iterable[tuple[str, str]], *, decodes: bool
) -> list[tuple[frozenset[tuple[str, str]], list[tuple[str, list[str]]]]]:
    """Divide kinds of objects into associations of at most 128 presentation contexts.

    Parameters
    ----------
    kinds
        SOP class and stored transfer syntax of every object; the most frequent go first.
    decodes
        Whether to propose uncompressed encodings too, for peers that take nothing else.

    Returns
    -------
    list
        For each association the kinds that go over it, and its presentation contexts.
    """
    batches: list[tuple[frozenset[tuple[str, str]], list[tuple[str, list[str]]]]] = []
    taken: set[tuple[str, str]] = set()
    contexts: dict[tuple[str, str], list[str]] = {}
    for kind, _ in Counter(kinds).most_common():
        wanted = {kind: [kind[1]]}
        if decodes:
            wanted[kind[0], ""] = list(PLAIN)
        if len(contexts | wanted) > MOST_CONTEXTS:
            batches.append((frozenset(taken), [(uid, s) for (uid, _), s in contexts.items()]))
            taken, contexts = set(), {}
        taken.add(kind)
        contexts |= wanted
    if taken:
        batches.append((frozenset(taken), [(uid, s) for (uid, _), s in contexts.items()]))
    return batches


def chosen(stored: StoredObject, agreed: Sequence[Agreed], *, decodes: bool) -> Agreed | None:
    """Return the context an object goes out in: its own syntax, or one it is decoded to."""
    fitting = {
        context.transfer_syntax_uid: context
        for context in reversed(agreed)
        if context.sop_class_uid == stored.sop_class_uid
    }
    syntaxes = (stored.transfer_syntax_uid, *(PLAIN if decodes else ()))
    return next((fitting[uid] for uid in syntaxes if uid in fitting), None)


def payload(stored: StoredObject, agreed: Agreed, decoder: Decoder | None) -> Payload:
    """Return the data set to send in a context.

    Raises
    ------
    NotUnderstood, NotDisplayable, OSError
        The file is gone or damaged, or cannot be decoded; nothing was sent.
    """
    if agreed.transfer_syntax_uid == stored.transfer_syntax_uid:
        return FilePayload(stored.path)
    if decoder is None:
        raise NotUnderstood
    return Reencoded(stored.path, agreed.transfer_syntax_uid, decoder)


def deliver(
    sender: StoreSender,
    stored: StoredObject,
    agreed: Sequence[Agreed],
    decoder: Decoder | None = None,
    *,
    priority: int = 0,
    each_block: Callable[[], None] = lambda: None,
) -> int:
    """Send one object in the context that fits it, and return the status of the answer.

    What cannot be sent is answered here: 0122 when the peer takes neither its transfer syntax nor
    a plain one, C000 when the file is gone or damaged or cannot be decoded.

    Parameters
    ----------
    decoder
        None: objects go out as they are stored or not at all.

    Raises
    ------
    LinkLost
        The association is of no more use; the object may or may not have arrived.
    """
    context = chosen(stored, agreed, decodes=decoder is not None)
    if context is None:
        return NOT_SUPPORTED
    try:
        data = payload(stored, context, decoder)
    except (ClinicError, OSError, *DECODER_ERRORS):
        return UNREADABLE
    uids = stored.sop_class_uid, stored.sop_instance_uid
    return sender.send(context.context_id, uids, data, priority=priority, each_block=each_block)
