"""Who and what the sample clinic is made of. Every person here is invented."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from clinic_panel.models.user import Role
from clinic_panel.services.patient import PatientForm


@dataclass(frozen=True, slots=True)
class Account:
    """One person who works here."""

    username: str
    role: Role
    display_name: str


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """One room, and the part of a modality's procedures that it sees."""

    room_name: str
    station_ae_title: str
    modality: str


@dataclass(frozen=True, slots=True)
class ProcedurePlan:
    """One examination, and why people come for it."""

    code_value: str
    description: str
    modality: str
    body_part_examined: str
    duration_min: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a report of a modality may say."""

    technique: str
    findings: str
    impression: str


ACCOUNTS: Final = (
    Account("reception", Role.RECEPTIONIST, "Mia Lindholm"),
    Account("tech", Role.TECHNOLOGIST, "Tomasz Zieliński"),
    Account("doctor", Role.CLINICIAN, "Dr. Ruth Adeyemi"),
    Account("analyst", Role.ANALYST, "Jonas Weber"),
    Account("admin", Role.ADMIN, "Sofia Marques"),
)

ROOMS: Final = (
    RoomPlan("CT 1", "CT1", "CT"),
    RoomPlan("X-ray 1", "XR1", "DX"),
    RoomPlan("Ultrasound 1", "US1", "US"),
    RoomPlan("MR 1", "MR1", "MR"),
)

PROCEDURES: Final = (
    ProcedurePlan("CTABD", "CT abdomen with contrast", "CT", "ABDOMEN", 25, ("Abdominal pain",)),
    ProcedurePlan("CTABDP", "CT abdomen and pelvis", "CT", "ABDOMEN", 30, ("Weight loss",)),
    ProcedurePlan("CTKUB", "CT urinary tract", "CT", "ABDOMEN", 15, ("Suspected stone",)),
    ProcedurePlan(
        "XRCHPA", "X-ray chest PA", "DX", "CHEST", 10, ("Cough for three weeks", "Fever")
    ),
    ProcedurePlan("XRCH2", "X-ray chest PA and lateral", "DX", "CHEST", 15, ("Before surgery",)),
    ProcedurePlan("XRRIB", "X-ray ribs", "DX", "CHEST", 10, ("Pain after a fall",)),
    ProcedurePlan("USECHO", "Echocardiography", "US", "HEART", 30, ("Murmur", "Breathlessness")),
    ProcedurePlan("USECHF", "Echocardiography, follow-up", "US", "HEART", 20, ("Valve repair",)),
    ProcedurePlan("USSTR", "Stress echocardiography", "US", "HEART", 40, ("Chest pain on effort",)),
    ProcedurePlan(
        "MRLIV", "MR liver with contrast", "MR", "ABDOMEN", 40, ("Lesion on ultrasound",)
    ),
    ProcedurePlan("MRABD", "MR abdomen", "MR", "ABDOMEN", 35, ("Follow-up",)),
    ProcedurePlan("MRCP", "MR bile ducts", "MR", "ABDOMEN", 30, ("Raised bilirubin",)),
)

REFERRERS: Final = ("Lindqvist^Maja", "Okonkwo^Chidi", "Ferreira^Inês", "Hoffmann^Karl", "Sato^Emi")

FINDINGS: Final = {
    "CT": Finding(
        "CT of the abdomen in the portal venous phase.",
        "Test object with spherical inserts of air, fat, water and bone in soft tissue.\n"
        "Liver, spleen and kidneys: not part of the object.\n"
        "Spine: homogeneous, of expected density.",
        "Insert densities as documented. No unexpected finding.",
    ),
    "DX": Finding(
        "Chest, PA, upright.",
        "Lungs: clear, no consolidation.\nPleura: no effusion, no pneumothorax.\n"
        "Heart: normal size.\nBones: no fracture.",
        "No abnormality of the chest.",
    ),
    "US": Finding(
        "Transthoracic echocardiography, cine loops.",
        "Left ventricle: normal size, good contraction.\nValves: no relevant regurgitation.\n"
        "Pericardium: no effusion.",
        "Normal left ventricular function.",
    ),
    "MR": Finding(
        "MR of the liver, T1 with hepatobiliary contrast.",
        "Liver: one rounded lesion in the right lobe, marked.\nBile ducts: not dilated.\n"
        "Kidneys and spleen: unremarkable.",
        "Single lesion of the right lobe; comparison with earlier images is recommended.",
    ),
}

LETTERHEAD: Final = {
    "name": "Harbour Street Imaging",
    "address": "12 Harbour Street\n20457 Sampletown",
    "phone": "+49 40 555 01 00",
}


def _person(
    family: str,
    given: str,
    sex: str,
    born: str,
    *,
    ideographic: str = "",
    phonetic: str = "",
    allergies: str = "",
) -> PatientForm:
    return PatientForm(
        family_name=family,
        given_name=given,
        patient_sex=sex,
        patient_birth_date=date.fromisoformat(born),
        ideographic=ideographic,
        phonetic=phonetic,
        allergies=allergies,
    )


_PEOPLE: Final = (
    _person("Müller", "Zoë", "F", "1984-03-02"),
    _person("Łuczak", "Stanisław", "M", "1951-11-23", allergies="Iodinated contrast"),
    _person("Dvořáková", "Jiřina", "F", "1968-07-14"),
    _person("García Núñez", "Íñigo", "M", "1977-01-30"),
    _person("Ångström", "Björn", "M", "1943-05-09"),
    _person("Çelik", "Ayşe", "F", "1990-09-17"),
    _person("Nguyễn", "Thị Hoa", "F", "1996-12-05"),
    _person("O'Sullivan", "Siobhán", "F", "1962-02-28"),
    _person("Sæther", "Øyvind", "M", "1957-08-11"),
    _person("Lefèvre", "Hélène", "F", "1939-04-22", allergies="Penicillin"),
    _person("Brâncuș", "Ștefan", "M", "1982-10-03"),
    _person("Jónsdóttir", "Þórunn", "F", "2001-06-19"),
    _person("Kovács", "Győző", "M", "1949-03-27"),
    _person("Ribeiro", "João", "M", "1973-12-12"),
    _person("Žukauskas", "Eglė", "F", "1988-05-25"),
    _person("Соколова", "Анна", "F", "1979-02-08"),
    _person("Мельник", "Олексій", "M", "1966-09-30"),
    _person("Петровић", "Милица", "F", "1993-04-14"),
    _person("Димитров", "Красимир", "M", "1955-01-19"),
    _person("Παπαδάκη", "Ελένη", "F", "1971-10-26"),
    _person("Νικολαΐδης", "Γεώργιος", "M", "1946-07-07"),
    _person("الحداد", "ليلى", "F", "1987-11-02"),
    _person("المصري", "عمر", "M", "1960-06-15"),
    _person("כהן", "יעל", "F", "1994-08-21"),
    _person("לוי", "אורי", "M", "1952-12-31"),
    _person(
        "Takahashi", "Haruka", "F", "1985-01-16", ideographic="高橋 遥", phonetic="たかはし はるか"
    ),
    _person(
        "Watanabe", "Kenji", "M", "1958-03-05", ideographic="渡辺 健二", phonetic="ワタナベ ケンジ"
    ),
    _person(
        "Kobayashi",
        "Sakura",
        "F",
        "2012-04-02",
        ideographic="小林 さくら",
        phonetic="こばやし さくら",
    ),
    _person("Ito", "Daichi", "M", "1999-07-24", ideographic="伊藤 大地", phonetic="いとう だいち"),
    _person("Chen", "Meilin", "F", "1981-05-13", ideographic="陈 美琳"),
    _person("Zhao", "Wenbo", "M", "1970-09-09", ideographic="赵 文博"),
    _person("Huang", "Yating", "F", "1992-02-17", ideographic="黃 雅婷"),
    _person("Kim", "Seoyeon", "F", "1989-10-10", ideographic="金 瑞姸", phonetic="김 서연"),
    _person("Park", "Minjun", "M", "1964-06-01", ideographic="朴 敏俊", phonetic="박 민준"),
    _person("Okafor", "Adaeze", "F", "1981-04-02"),
    _person("Mensah", "Kwabena", "M", "1975-03-18"),
    _person("ʻAkana", "Keoni", "M", "2005-09-12"),
    _person("Sharma", "Ananya", "F", "1998-01-07"),
    _person("van den Berg", "Maarten", "M", "1935-10-29"),
    _person("Smith", "John", "M", "1967-05-05"),
)

PATIENTS: Final = tuple(
    replace(
        person,
        patient_telephone_numbers=f"+49 40 555 01 {10 + number}",  # rings nowhere
        patient_address=f"{2 * number + 1} Quay Street, 20457 Sampletown",
    )
    for number, person in enumerate(_PEOPLE)
)
