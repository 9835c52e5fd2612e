"""The whole statement, chapter by chapter in the order of PS3.2 Annex A."""

from clinic_panel.archive import RESERVE_BYTES
from clinic_panel.config import PREFIX, Settings
from clinic_panel.documents.confidentiality import EDITION
from clinic_panel.imaging.charset import python_encoding
from clinic_panel.imaging.elements import MAX_DEPTH
from clinic_panel.imaging.opened import INFLATE_LIMIT_BYTES, INFLATE_RATIO
from clinic_panel.services.worklist_keys import CODING_SCHEME
from listener import misfits
from listener.acceptance import APPLICATION_CONTEXT_NAME, REASONS
from listener.commands import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from listener.conformance import services, storing
from listener.conformance.markup import table
from listener.limits import Limits

_CONFIGURED = (
    "ae_title",
    "dicom_host",
    "dicom_port",
    "dicom_processes",
    "unknown_ae",
    "duplicates",
    "commitment_grace_s",
)
_FURTHER = ("private_storage_classes", "private_transfer_syntaxes")
_TLS = ("dicom_tls_cert", "dicom_tls_key", "dicom_tls_ca")


def statement() -> str:
    """Return the statement as Markdown; the same tables give the same text."""
    parts = [
        "# DICOM conformance statement of Clinic Panel",
        "Written by `python -m listener.conformance` from the tables the program itself uses; "
        "a test keeps it current. Structure: PS3.2 Annex A.",
        "For those who connect devices and archives, and know DICOM. That two statements fit does "
        "not prove that two systems work together: try it, with *Admin → Service check* or "
        "`clinic simulate modality --check`. Statuses and tags are hexadecimal; SCU and SCP are "
        "user and provider of a service, AE is an application entity.",
    ]
    for title, chapter in (
        ("1 Overview", services.overview),
        ("2 Implementation model", _model),
        ("3 Application entity", _association),
        ("4 Services", services.chapters),
        ("5 Network and configuration", _network),
        ("6 Media", _media),
        ("7 Character sets", _character_sets),
        ("8 Security", _security),
        ("9 Extensions and codes", _extensions),
        ("Annex A Storage SOP classes", storing.storage_classes_annex),
        ("Annex B Transfer syntaxes for storage", storing.transfer_syntaxes_annex),
    ):
        parts += [f"## {title}", chapter()]
    return "\n\n".join(parts) + "\n"


def _model() -> str:
    return """One application entity serves a clinic. Its title is set by the site.

```
modality -> [ listener: one port, all services below as SCP ] -> archive folder, then index (SQL)
peer     <- [ listener: sub-operations of C-MOVE and C-GET  ] <-+
peer     <- [ worker: what peers are owed or asked for      ] <-+
```

- The *listener* accepts associations; as Move SCP it initiates those to the move destinations.
- The *worker* initiates all others: it forwards stored objects to peers that an administrator
  marked for it, and does what chapter 4 says of our roles as SCU.
- Both share archive and index with the dashboards.

Real-world activity and sequence: a booking appears in the worklist; the modality queries it,
performs the study and stores the images; the study is matched to its booking by Study Instance UID,
else by accession number and patient ID; what matches nothing, or names another person by ID, name,
birth date or sex, waits for somebody to decide."""


def _association() -> str:
    limits = Limits()
    bounds = [
        ("Associations accepted at a time", limits.associations, "rejected, transient (2, 3, 2)"),
        (
            "Associations from one address",
            limits.associations_per_address,
            "rejected, transient (2, 3, 2)",
        ),
        ("Connections, associated or not", limits.connections, "closed unanswered"),
        ("Connections from one address", limits.connections_per_address, "closed unanswered"),
        ("Maximum PDU length offered", _bytes(limits.advertised_pdu_bytes), "-"),
        ("Longest PDU read", _bytes(limits.pdu_bytes), "A-ABORT"),
        ("Longest A-ASSOCIATE-RQ", _bytes(limits.request_pdu_bytes), "A-ABORT"),
        ("Data set of a C-STORE", _bytes(limits.object_bytes), "A700"),
        ("Any other message", _bytes(limits.message_bytes), "A-ABORT"),
        ("Requests before the answer to the first", limits.messages_waiting, "A-ABORT"),
        ("ARTIM timer", f"{limits.artim_s:g} s", "closed"),
        ("Without a byte from the peer", f"{limits.idle_s:g} s", "A-ABORT"),
        ("Commit of the index row", f"{limits.index_s:g} s", "A700"),
        ("Disk space kept free", f"{_bytes(RESERVE_BYTES)}, a twentieth of a small disk", "A700"),
        ("Depth of nested sequences", MAX_DEPTH, "C000"),
        (
            "Deflated data set, inflated",
            f"{_bytes(INFLATE_LIMIT_BYTES)}, {INFLATE_RATIO} times its size",
            "C000",
        ),
    ]
    return "\n\n".join(
        [
            table(
                ("Association policy", "Value"),
                [
                    ("Application context", APPLICATION_CONTEXT_NAME),
                    ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
                    ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
                    ("Asynchronous operations window", "not negotiated: one operation at a time"),
                    ("SCP/SCU role selection", "as the services below say"),
                    ("User identity negotiation", "not used; a request for it is ignored"),
                ],
            ),
            "### Limits\n\nAll are checked before anything is parsed.",
            table(("Limit", "Value", "Beyond it"), bounds),
            f"### Association initiation\n\n{services.initiation()}",
            "### Association acceptance\n\nThe called AE title must be ours; the calling one that "
            "of a room or peer, unless the site accepts any. A presentation context is accepted "
            "when SOP class and one transfer syntax are supported (result 3 or 4 otherwise, PS3.8 "
            "Table 9-18); of several transfer syntaxes the first of Annex B is chosen.",
            table(
                ("Result, source, reason", "When"),
                [(", ".join(map(str, code)), why) for code, why in REASONS.items()],
            ),
            "AE titles are taken without their padding, be it blanks or zeros. Another version of "
            "the protocol is rejected with 1, 2, 2.",
            "### Requests that do not fit\n\nThe service of a request is that of its presentation "
            "context.",
            table(
                ("Status", "When"),
                [(f"{int(code):04X}", when) for code, when in misfits.WHEN.items()],
            ),
            "What breaks the upper layer protocol is answered with A-ABORT (PS3.8 9.3.8), or the "
            "connection is closed; other associations go on.",
        ]
    )


def _network() -> str:
    settings = [
        (f"`{PREFIX}{name.upper()}`", Settings.param[name].default or "-", Settings.param[name].doc)
        for name in (*_CONFIGURED, *_FURTHER)
    ]
    return "\n\n".join(
        [
            "TCP/IP over IPv4; the listener binds one address and port. TLS as in chapter 8.",
            table(("Setting", "Default", "Meaning"), settings),
            "AE titles, addresses and ports of modalities (rooms) and peers are kept in the "
            "database and edited on the administration page.",
        ]
    )


def _media() -> str:
    return f"""As a file-set reader, `clinic import` takes single files of the DICOM File Format
(PS3.10 7), folders, ZIP archives and media with a DICOMDIR, whatever their application profile;
objects are indexed as if they had been received. The archive itself keeps every object in the DICOM
File Format:

- preamble of zeros, `DICM`, File Meta Information (PS3.10 Table 7.1-1) with our implementation, and
  for objects from the network the calling AE title as Source Application Entity Title;
- the data set byte for byte as received, in the transfer syntax it came in; the file is named by
  its SHA-256, so that a name never comes from the network.

As a file-set creator, `clinic export` and the viewer's teaching export write a DICOMDIR in Explicit
VR Little Endian with PATIENT, STUDY, SERIES and the records below them; file IDs have at most eight
characters. Objects keep their transfer syntax and, as exported with identity, every byte.

De-identification follows the Basic Application Level Confidentiality Profile (PS3.15 E.2, Table
E.1-1 of {EDITION}) with the option Retain Longitudinal Temporal Information Modified Dates; Clean
Graphics for presentation states, Clean Structured Content for key object selections, and Clean
Pixel Data where a person looked at the images or had areas blacked out. Private attributes,
overlays and curves go, and all free text that does not say how the image was made. UIDs come from a
keyed hash: references hold, and exporting again gives the same. Reports, encapsulated documents,
raw and private objects, voice and video are left out; so are ultrasound, secondary captures and
photographs that nobody looked at."""


def _character_sets() -> str:
    terms = ", ".join(sorted(filter(None, python_encoding), key=lambda term: (len(term), term)))
    return f"""Stored objects keep their character sets. For the index they are decoded from these
defined terms (PS3.3 C.12.1.1.2), with and without code extensions: {terms}.

A query that declares none is read as UTF-8 where all of its text is, else as Latin-1. Answers to
queries are in the character set that was declared where every character of the answer has a code in
it, otherwise in UTF-8 (`ISO_IR 192`); Specific Character Set is in each answer that needs it."""


def _security() -> str:
    settings = [(f"`{PREFIX}{name.upper()}`", Settings.param[name].doc) for name in _TLS]
    return "\n\n".join(
        [
            "- **TLS** (PS3.15 B.12, BCP 195): TLS 1.2 at least, 1.3 preferred, server certificate "
            "always; with authorities given, a client certificate is required.\n"
            "- **Calls to peers** marked for TLS are encrypted, TLS 1.2 at least; the peer must "
            "show a certificate of the authorities given (or of the system's).\n"
            "- **Access**: unknown calling AE titles are rejected, audited once a minute and shown "
            "to the administrator. An AE title proves nothing: use client certificates.\n"
            "- **Audit**: reception by series, conflicts, replacements and refusals are entries of "
            "an append-only, chained audit trail.\n"
            "- **Logs** hold AE titles, row ids, counts and statuses; no identifiers of patients.",
            table(("Setting", "Meaning"), settings),
        ]
    )


def _extensions() -> str:
    return f"""There are no private attributes, SOP classes or transfer syntaxes of our own. Private
classes and syntaxes of others are stored when the settings name them (chapter 5).

Procedure codes of the clinic are sent with the coding scheme designator `{CODING_SCHEME}`, which
has no registered UID."""


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"
