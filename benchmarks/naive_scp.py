"""A receiver as pynetdicom's tutorial has it: decode, save, index in SQLite, answer."""

import sqlite3
import sys
import threading

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

connection = sqlite3.connect("index.db", check_same_thread=False)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("CREATE TABLE instance (uid TEXT PRIMARY KEY, study TEXT, patient TEXT)")
lock = threading.Lock()


def handle_store(event: evt.Event) -> int:
    ds = event.dataset
    ds.file_meta = event.file_meta
    ds.save_as(f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
    with lock, connection:
        row = (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.PatientID)
        connection.execute("INSERT OR IGNORE INTO instance VALUES (?, ?, ?)", row)
    return 0x0000


entity = AE("BENCH")
for context in AllStoragePresentationContexts:
    entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
entity.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_STORE, handle_store)])
