"""Texts a report can start from: blanks to fill in, or a normal finding the reader states."""

from __future__ import annotations

from dataclasses import dataclass

BLANK = "___"  # signing waits until none is left


@dataclass(frozen=True, slots=True)
class ReportTemplate:
    """A start for one kind of examination."""

    name: str
    title: str
    modalities: tuple[str, ...]  # empty: any
    words: tuple[str, ...]  # in the study's description or body part, in lower case
    technique: str
    findings: str
    impression: str = ""


def _blanks(*structures: str) -> str:
    return "\n".join(f"{structure}: {BLANK}" for structure in structures)


_CR = ("CR", "DX", "RG")

TEMPLATES: tuple[ReportTemplate, ...] = (
    ReportTemplate(
        "ct-chest",
        "CT chest",
        ("CT",),
        ("chest", "thorax", "lung"),
        "CT of the chest.",
        _blanks("Lungs and airways", "Pleura", "Heart and mediastinum", "Lymph nodes")
        + "\n"
        + _blanks("Chest wall and bones", "Upper abdomen"),
    ),
    ReportTemplate(
        "ct-chest-normal",
        "CT chest, normal",
        ("CT",),
        ("chest", "thorax", "lung"),
        "CT of the chest.",
        "Lungs and airways: No nodule, mass or consolidation. Airways patent.\n"
        "Pleura: No effusion, no pneumothorax.\n"
        "Heart and mediastinum: Normal heart size, no pericardial effusion. Normal great vessels.\n"
        "Lymph nodes: Not enlarged.\n"
        "Chest wall and bones: No suspicious lesion.\n"
        "Upper abdomen: Unremarkable as far as shown.",
        "No abnormality of the chest.",
    ),
    ReportTemplate(
        "ct-abdomen",
        "CT abdomen and pelvis",
        ("CT",),
        ("abdomen", "pelvis", "abd"),
        "CT of the abdomen and pelvis.",
        _blanks("Liver and bile ducts", "Pancreas", "Spleen", "Adrenals", "Kidneys and ureters")
        + "\n"
        + _blanks("Bowel and mesentery", "Vessels", "Lymph nodes", "Pelvic organs", "Bones"),
    ),
    ReportTemplate(
        "ct-head",
        "CT head",
        ("CT",),
        ("head", "brain", "skull"),
        "CT of the head.",
        _blanks("Brain parenchyma", "Ventricles and cisterns", "Haemorrhage", "Vessels")
        + "\n"
        + _blanks("Skull, sinuses and mastoids"),
    ),
    ReportTemplate(
        "mr-brain",
        "MR brain",
        ("MR",),
        ("brain", "head"),
        "MR of the brain.",
        _blanks("Brain parenchyma", "Diffusion", "Ventricles", "Vessels", "Enhancement")
        + "\n"
        + _blanks("Skull base and orbits"),
    ),
    ReportTemplate(
        "mr-joint",
        "MR joint",
        ("MR",),
        ("knee", "shoulder", "hip", "ankle", "wrist", "elbow"),
        "MR of the joint.",
        _blanks("Bones and marrow", "Cartilage", "Ligaments", "Tendons and muscles", "Joint fluid"),
    ),
    ReportTemplate(
        "us-abdomen",
        "US abdomen",
        ("US",),
        ("abdomen", "abdominal", "liver", "renal"),
        "Ultrasound of the abdomen.",
        _blanks("Liver", "Gallbladder and bile ducts", "Pancreas", "Spleen", "Kidneys")
        + "\n"
        + _blanks("Aorta", "Bladder", "Free fluid"),
    ),
    ReportTemplate(
        "us-abdomen-normal",
        "US abdomen, normal",
        ("US",),
        ("abdomen", "abdominal", "liver", "renal"),
        "Ultrasound of the abdomen.",
        "Liver: Normal size and echo pattern, no focal lesion.\n"
        "Gallbladder and bile ducts: No stones, ducts not dilated.\n"
        "Pancreas: Unremarkable as far as seen.\n"
        "Spleen: Normal size.\n"
        "Kidneys: Normal size, no hydronephrosis, no stones.\n"
        "Aorta: Normal calibre.\n"
        "Bladder: Unremarkable.\n"
        "Free fluid: None.",
        "Normal ultrasound of the abdomen.",
    ),
    ReportTemplate(
        "xr-chest",
        "X-ray chest",
        _CR,
        ("chest", "thorax"),
        "Radiograph of the chest.",
        _blanks("Lungs", "Pleura", "Heart and mediastinum", "Bones", "Devices"),
    ),
    ReportTemplate(
        "xr-chest-normal",
        "X-ray chest, normal",
        _CR,
        ("chest", "thorax"),
        "Radiograph of the chest.",
        "Lungs: Clear.\n"
        "Pleura: No effusion, no pneumothorax.\n"
        "Heart and mediastinum: Normal size and contour.\n"
        "Bones: No fracture seen.",
        "No abnormality of the chest.",
    ),
    ReportTemplate(
        "xr-bone",
        "X-ray bones and joints",
        _CR,
        (),
        "Radiograph.",
        _blanks("Bones", "Joints", "Soft tissue"),
    ),
    ReportTemplate("generic", "General", (), (), "", ""),
)


def templates_for(modalities: str, description: str) -> list[ReportTemplate]:
    """Return the templates that fit, the best first, those for another body part last.

    Parameters
    ----------
    modalities
        ModalitiesInStudy, several joined by a backslash.
    description
        Study description or body part, in any case.
    """
    wanted, words = set(modalities.split("\\")), description.lower()

    def misfit(template: ReportTemplate) -> int:
        if any(word in words for word in template.words):
            return 0
        if template.words:
            return 3
        return 1 if template.modalities else 2

    fitting = [t for t in TEMPLATES if not t.modalities or wanted.intersection(t.modalities)]
    return sorted(fitting, key=misfit)
