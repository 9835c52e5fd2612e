"""Where the data sets of C-STORE requests go: what a receiver fills and the archive implements."""

from typing import Protocol

from listener.commands import StoreRequest


class Sink(Protocol):
    """Takes the data sets of one association, one after the other, each in pieces."""

    def begin(self, request: StoreRequest, transfer_syntax_uid: str) -> None:
        """A data set begins."""

    def write(self, chunks: list[memoryview]) -> None:
        """Some of it; the memory is reused after the call."""

    def finish(self) -> int:
        """It is complete: return the status to answer (a `Status` has a comment). Never raises."""

    def discard(self) -> None:
        """The association ended: forget what is incomplete."""
