"""The printed report, read back as a reader of PDF files reads it."""

import io
import subprocess
import urllib.request
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from clinic_panel.documents import pdf
from clinic_panel.documents.pdf import KeyImage, Letterhead, ReportContent, Section, render


def png(rows=64, columns=64):
    ramp = np.linspace(0, 255, rows * columns).reshape(rows, columns).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def content():
    return ReportContent(
        letterhead=Letterhead("Riverside Imaging", "12 Quay Street\nBristol", "+44 117 496 0123"),
        patient_names=("Lindqvist, Petra Maria",),
        patient_id="TEST-104233",
        patient_birth_date=date(1961, 4, 3),
        patient_sex="Female",
        patient_age="65 y",
        study_date=date(2026, 11, 22),
        study_description="CT chest",
        modality="CT",
        accession_number="A261122",
        referring_physician_name="Dr. Okafor",
        sections=(
            Section("Findings", "Lungs clear.\n\n- No node\n- No effusion"),
            Section("Impression", "No mass.", emphasised=True),
        ),
        signed_by="Dr. Hanna Weiss",
        signed_role="Clinician",
        signed_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC),
        version=1,
        final=True,
        content_hash="3f2a91c0",
        zone="Europe/Helsinki",
    )


def pages_of(data):
    return [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]


def long_findings(content, paragraphs=60):
    findings = Section("Findings", "\n\n".join(f"Paragraph {n}: clear." for n in range(paragraphs)))
    return replace(content, sections=(findings, content.sections[1]))


def test_every_page_names_the_patient_and_counts_itself(content):
    pages = pages_of(render(long_findings(content)))

    assert len(pages) >= 3
    for number, page in enumerate(pages, 1):
        assert "Lindqvist, Petra Maria" in page
        assert "TEST-104233" in page
        assert "03 Apr 1961" in page
        assert f"Page {number} of {len(pages)}" in page
    every = "\n".join(pages)
    assert all(f"Paragraph {n}: clear." in every for n in range(60))


def test_the_signature_shows_who_and_when_in_the_clinics_zone(content):
    [page] = pages_of(render(content))
    assert "Dr. Hanna Weiss" in page
    assert "02 Jul 2026, 01:30 (Europe/Helsinki)" in page
    assert "3f2a91c0" in page
    assert "DRAFT" not in page


def test_a_draft_says_so_on_every_page(content):
    draft = replace(long_findings(content), final=False, signed_by="", signed_at=None)
    pages = pages_of(render(draft))
    assert len(pages) > 1
    assert all("DRAFT" in page and "Not signed" in page for page in pages)


def test_a_naive_moment_of_signing_is_refused(content):
    with pytest.raises(ValueError, match="zone"):
        render(replace(content, signed_at=datetime(2026, 7, 1)))  # noqa: DTZ001


NAMES = {
    "latin": "Żółć, Þórður Nguyễn",
    "cyrillic": "Щербаков, Юрий",
    "greek": "Παπαδόπουλος, Γιώργος",
    "arabic": "حداد، سامي",
    "hebrew": "כהן, שרה",
    "japanese": "山田、太郎",
    "chinese": "王小明",
    "korean": "홍, 길동",
}


@pytest.mark.parametrize("script", NAMES)
def test_a_name_in_any_script_is_drawn_with_embedded_glyphs(content, script, tmp_path):
    name = NAMES[script]
    data = render(replace(content, patient_names=("Lindqvist, Petra", name), sections=()))
    (tmp_path / "report.pdf").write_bytes(data)

    listed = subprocess.run(
        ["pdffonts", tmp_path / "report.pdf"], capture_output=True, text=True, check=True
    ).stdout
    rows = listed.splitlines()[2:]
    assert rows
    assert all(row.split()[-5] == "yes" for row in rows), listed  # emb sub uni object ID

    extracted = subprocess.run(
        ["pdftotext", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    letters = {letter for letter in name if letter.isalpha()}
    assert letters <= set(extracted)


def test_letters_without_a_glyph_do_not_stop_the_report(content):
    odd = "tofu \U0010fffd \ue000 \U000e0001 \ud800 end\x00\x07"
    [page] = pages_of(render(replace(content, sections=(Section("Findings", odd),))))
    assert "tofu" in page
    assert "end" in page


def test_pictures_are_embedded_and_captioned_and_rubbish_is_named(content):
    images = (KeyImage(png(), "Axial, lung window"), KeyImage(b"<svg/>", "Broken"))
    data = render(replace(content, key_images=images))
    reader = PdfReader(io.BytesIO(data))
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert "Axial, lung window" in text
    assert "This image can't be shown" in text
    assert len({image.data for page in reader.pages for image in page.images}) == 1


def test_metadata_name_nobody_and_the_file_is_tagged(content):
    data = render(replace(content, language="de"))
    reader = PdfReader(io.BytesIO(data))
    assert reader.metadata.title == "Report"
    told = str(dict(reader.metadata)) + reader.xmp_metadata.rdf_root.toxml()
    for secret in ("Lindqvist", "TEST-104233", "A261122", "1961"):
        assert secret not in told
    assert "pdfuaid:part" in told
    assert reader.root_object["/Lang"] == "de"
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.root_object["/ViewerPreferences"]["/DisplayDocTitle"]


def test_the_same_content_gives_the_same_bytes(content):
    shown = replace(content, key_images=(KeyImage(png(), "One"),))
    assert render(shown) == render(shown)
    assert render(shown) != render(replace(shown, version=2))


HOSTILE = (
    "<script>fetch('http://127.0.0.1:9/leak')</script>",
    "<img src='file:///etc/passwd'><img src=http://127.0.0.1:9/x.png>",
    "</style><style>@import url(http://127.0.0.1:9/x.css); body{display:none}",
    "<link rel=attachment href='file:///etc/passwd'>",
    "<object data='file:///etc/hostname'></object><iframe src=file:///etc/passwd>",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}{% include '/etc/passwd' %}",
    "\" onload=alert(1) style='background:url(http://127.0.0.1:9/)' x=\"",
    "<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "<!--#include file='/etc/passwd'-->]]><![CDATA[&xxe;",
    "/JavaScript (app.alert(1)) /OpenAction << /S /URI >>",
)


@pytest.mark.parametrize("payload", HOSTILE)
def test_markup_in_any_text_is_printed_and_does_nothing(content, payload, monkeypatch):
    opened = []
    monkeypatch.setattr(
        urllib.request.OpenerDirector, "open", lambda *args, **_: opened.append(args[1])
    )
    hostile = replace(
        content,
        letterhead=Letterhead(payload, payload, payload, logo=payload.encode()),
        patient_names=(payload, payload),
        patient_id=payload,
        patient_sex=payload,
        patient_age=payload,
        study_description=payload,
        modality=payload,
        accession_number=payload,
        referring_physician_name=payload,
        sections=(Section(payload, payload),),
        key_images=(KeyImage(payload.encode(), payload),),
        signed_by=payload,
        signed_role=payload,
        content_hash=payload,
    )
    reader = PdfReader(io.BytesIO(render(hostile)))

    assert opened == []
    text = "".join("".join(page.extract_text().split()) for page in reader.pages)
    assert "".join(payload.split()) in text
    assert "root:x:0" not in text
    assert not reader.attachments
    assert "/OpenAction" not in reader.root_object
    assert "/AA" not in reader.root_object
    assert all("/Annots" not in page for page in reader.pages)


def test_an_address_in_the_page_itself_is_refused(content, monkeypatch):
    printer = pdf._Printer()
    leak = '<img src="file:///etc/hostname?patient=1">'
    monkeypatch.setattr(printer, "_template", type("T", (), {"render": lambda *_, **__: leak})())
    with pytest.raises(ValueError, match="outside itself") as raised:
        printer.print(content)
    assert "hostname" not in str(raised.value)


@pytest.mark.parametrize(
    ("names", "patient_id", "clinic"),
    [
        (("Lindqvist, Petra",), "1", "Clinic"),
        (("W" * 64,), "W" * 64, "W" * 64),
        (("W" * 31 + ", " + "M" * 31, "國" * 64, "ぬ" * 64), "8" * 64, "國" * 64),
        (("Щ" * 64, "ش" * 64), "ID 1", "Ministry of Health " * 6),
        (("mm " * 21, "國" * 36, "ぬ" * 30), "0 " * 32, "Clinic"),
    ],
)
def test_the_running_header_never_lies_over_the_findings(content, names, patient_id, clinic):
    shown = replace(
        long_findings(content),
        patient_names=names,
        patient_id=patient_id,
        letterhead=Letterhead(clinic),
    )
    second = PdfReader(io.BytesIO(render(shown))).pages[1]
    body, header = [], []

    def visit(text, _matrix, text_matrix, *_):
        if text.strip():
            rows = body if "Paragraph" in text else header
            rows.append(_matrix[5] + text_matrix[5] * _matrix[3])

    second.extract_text(visitor_text=visit)
    top_of_body = max(body)
    lowest_of_header = min(row for row in header if row > top_of_body - 30)
    assert lowest_of_header - top_of_body > 14  # points between base lines


def test_content_in_a_traceback_or_log_names_nobody(content):
    assert "Lindqvist" not in repr(content)
    assert "Lungs" not in repr(content.sections[0])
