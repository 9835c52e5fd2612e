"""The conformance statement says what the program does, and the committed one is current."""

import re
from pathlib import Path

from clinic_panel.config import Settings
from listener.conformance import services
from listener.conformance.document import statement
from listener.contexts import storage_classes, supported_contexts, transfer_syntaxes

COMMITTED = Path(__file__).parents[2] / "docs" / "dicom-conformance-statement.md"


def test_the_committed_statement_is_current():
    """Else: `python -m listener.conformance > docs/dicom-conformance-statement.md`."""
    assert COMMITTED.read_text() == statement()


def test_every_class_the_listener_accepts_is_in_the_statement():
    accepted = {str(context.abstract_syntax) for context in supported_contexts(Settings.read({}))}
    said = {
        uid
        for service in services.offered()
        if service.scp != "no"
        for uid in service.sop_class_uids
    }

    assert accepted - set(storage_classes()) == said
    text = statement()
    missing = [uid for uid in (*accepted, *transfer_syntaxes()) if f"`{uid}`" not in text]
    assert missing == []


def test_it_is_a_document_without_gaps():
    text = statement()
    assert "| None" not in text
    assert not re.search(r"\| ([0-9.]+) \| `\1`", text)  # each class and syntax has a name
    assert all(len(line.split("|")) > 3 for line in text.splitlines() if line.startswith("|"))
