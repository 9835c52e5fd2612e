"""The texts a report may start from."""

import pytest

from clinic_panel.documents.report_templates import BLANK, TEMPLATES, templates_for


@pytest.mark.parametrize(
    ("modalities", "description", "expected"),
    [
        ("CT", "CT CHEST W/ CONTRAST", "ct-chest"),
        ("CT\\SR", "Thorax", "ct-chest"),
        ("US", "US abdomen complete", "us-abdomen"),
        ("DX", "Chest PA", "xr-chest"),
        ("CR", "Left hand", "xr-bone"),
        ("MR", "MRI Brain", "mr-brain"),
        ("NM", "Bone scan", "generic"),
        ("", "", "generic"),
        ("CT", "Left foot", "generic"),
    ],
)
def test_the_best_fitting_template_comes_first(modalities, description, expected):
    assert templates_for(modalities, description)[0].name == expected


def test_every_template_of_the_modality_can_be_chosen_and_no_other():
    for template in TEMPLATES:
        found = templates_for("\\".join(template.modalities), " ".join(template.words))
        assert template in found
        assert "generic" in [other.name for other in found]
    assert {t.name for t in templates_for("US", "")} == {
        "generic",
        "us-abdomen",
        "us-abdomen-normal",
    }


def test_normal_findings_are_stated_only_by_templates_that_say_so():
    for template in TEMPLATES:
        if template.name.endswith("-normal"):
            assert "normal" in template.title
            assert template.impression
            assert BLANK not in template.findings
        else:
            assert not template.impression
