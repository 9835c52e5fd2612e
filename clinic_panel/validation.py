"""Names, identifiers, dates and UIDs: one function a rule. Values in, values out."""

import re
import unicodedata
from datetime import date

from clinic_panel.errors import Invalid

# PS3.5 6.2: LO and SH forbid the backslash (value separator) and control characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
_AE_TITLE = re.compile(r"^(?=.*\S)[ -\[\]-~]{1,16}$")
_UID = re.compile(r"^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$")
MAX_PN_GROUP = 64  # characters of one component group, PS3.5 6.2
# Letters that people type without their stroke or ligature, and that NFKD leaves whole.
_ALIKE = str.maketrans(
    {
        "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i",
        "ـ": "", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه",
    }
)  # fmt: skip
# Scripts written without blanks between family and given name.
_UNSPACED = re.compile(
    "[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Words of many names that say nothing of which person it is.
_PARTICLES = frozenset({
    "al", "el", "bin", "bint", "ibn", "ben", "abu", "da", "das", "de", "del", "della", "den", "der",
    "di", "do", "dos", "du", "la", "le", "ter", "ten", "van", "von", "zu",
    "dr", "prof", "mr", "mrs", "ms", "mme", "herr", "frau",
})  # fmt: skip
_SPELT_OUT = re.compile("([aou])e|aa")  # Mueller for Müller, Aase for Åse
_LOST = frozenset("?_\ufffd")  # what a device without the character set puts in a letter's place
_SHORTENED = 4  # letters of a name that was cut off, or called by its beginning
_TYPED_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"),
    re.compile(r"(?P<d>\d{1,2})([./-])(?P<m>\d{1,2})\2(?P<y>\d{4})"),
)


def clean(text: str) -> str:
    """Return the text in NFC without control and direction-override characters, trimmed."""
    return _BIDI.sub("", _CONTROL.sub("", unicodedata.normalize("NFC", text))).strip()


def free_text(text: str, limit: int = 64_000) -> str:
    """Return prose that keeps its line breaks; other control characters go.

    Raises
    ------
    Invalid
        It is longer than ``limit`` characters.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = "\n".join(
        _BIDI.sub("", _CONTROL.sub("", unicodedata.normalize("NFC", line.replace("\t", " "))))
        for line in lines
    )
    if len(kept) > limit:
        raise Invalid(f"The text is longer than {limit} characters.")
    return kept.strip("\n")


def short_text(text: str, field: str, *, limit: int = 64, required: bool = False) -> str:
    """Return one line fit for LO or SH (PS3.5 6.2).

    Raises
    ------
    Invalid
        It is empty though required, too long, or holds a backslash.
    """
    kept = clean(text)
    if required and not kept:
        raise Invalid("This field is needed.", field=field)
    if len(kept) > limit:
        raise Invalid(f"At most {limit} characters, please.", field=field)
    if "\\" in kept:
        raise Invalid("A backslash is not allowed here.", field=field)
    return kept


def patient_id(text: str) -> str:
    """Return a Patient ID (LO): 1 to 64 characters, no backslash.

    Raises
    ------
    Invalid
        The rule is broken.
    """
    return short_text(text, "patient_id", required=True)


def ae_title(text: str) -> str:
    """Return an application entity title: 1 to 16 printable ASCII characters (PS3.5 6.2 AE).

    Raises
    ------
    Invalid
        The rule is broken.
    """
    kept = text.strip()
    if not _AE_TITLE.match(kept):
        raise Invalid("An AE title has 1 to 16 plain characters.", field="ae_title")
    return kept


def uid(text: str) -> str:
    """Return a UID: digits and dots, at most 64 characters, no leading zeros (PS3.5 9.1).

    Raises
    ------
    Invalid
        The rule is broken.
    """
    kept = text.strip(" \0")
    if len(kept) > 64 or not _UID.match(kept):
        raise Invalid("This is not a valid UID.")
    return kept


def birth_date(value: date | None, today: date) -> date | None:
    """Return a birth date that lies in the past 150 years.

    Raises
    ------
    Invalid
        It lies in the future or too far back.
    """
    if value is not None and (value > today or value.year < today.year - 150):
        raise Invalid("The birth date cannot be right.", field="patient_birth_date")
    return value


def typed_date(text: str) -> date | None:
    """Return the date a person typed, or None: ``1980-03-31``, ``31.3.1980``, ``31/03/1980``.

    The day comes before the month unless the year comes first; ``19800331`` is read too.
    """
    for form in _TYPED_DATES:
        if found := form.fullmatch(text.strip()):
            try:
                return date(int(found["y"]), int(found["m"]), int(found["d"]))
            except ValueError:
                return None
    return None


def person_name(
    family: str,
    given: str = "",
    *,
    ideographic: str = "",
    phonetic: str = "",
    middle: str = "",
    prefix: str = "",
    suffix: str = "",
) -> str:
    """Compose a PN: up to three component groups joined by ``=`` (PS3.5 6.2.1).

    Parameters
    ----------
    family, given, middle, prefix, suffix
        Components of the alphabetic group.
    ideographic, phonetic
        Whole groups as ``family^given``.

    Raises
    ------
    Invalid
        No family name, a separator inside a component, or a group over 64 characters.
    """
    parts = [clean(part) for part in (family, given, middle, prefix, suffix)]
    if not parts[0]:
        raise Invalid("The family name is needed.", field="family_name")
    if any(set(part) & set("^=\\") for part in parts):
        raise Invalid("A name has no ^, = or backslash.", field="family_name")
    groups = ["^".join(parts).rstrip("^"), clean(ideographic), clean(phonetic)]
    for group, field in zip(groups, ("family_name", "ideographic", "phonetic"), strict=True):
        if len(group) > MAX_PN_GROUP:
            raise Invalid(f"A name has at most {MAX_PN_GROUP} characters.", field=field)
        if set(group) & set("=\\"):
            raise Invalid("A name has no = or backslash.", field=field)
    return "=".join(groups).rstrip("=")


def name_groups(patient_name: str) -> tuple[str, str, str]:
    """Split a PN into its alphabetic, ideographic and phonetic groups; missing ones are empty."""
    groups = [*patient_name.split("=", 2), "", ""]
    return groups[0], groups[1], groups[2]


def display_name(patient_name: str) -> str:
    """Return a PN for a screen: ``Family, Given (漢字)``; ``Unnamed`` when empty."""

    def shown(group: str) -> str:
        family, _, rest = clean(group).partition("^")
        given = " ".join(part for part in rest.split("^")[:2] if part)
        return ", ".join(part for part in (family, given) if part)

    alphabetic, ideographic, phonetic = map(shown, name_groups(patient_name))
    first = alphabetic or ideographic or phonetic
    extra = ideographic.replace(", ", " ") if alphabetic and ideographic else ""
    return f"{first} ({extra})" if extra else first or "Unnamed"


def folded(text: str) -> str:
    """Fold case, accents, width and kana/separator differences, for searching in any script.

    Katakana and hiragana fold to one; ``^ = ,`` and runs of blanks fold to one blank.
    """
    plain = unicodedata.normalize("NFKD", clean(text)).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c) or c in "\u3099\u309a")
    plain = plain.translate(_ALIKE)
    plain = "".join(chr(ord(c) - 0x60) if "\u30a1" <= c <= "\u30f6" else c for c in plain)
    return " ".join(unicodedata.normalize("NFKC", re.sub(r"[\^=,.\-']+", " ", plain)).split())


def is_unspaced(text: str) -> bool:
    """Whether the text holds a script that writes names without a blank between the parts."""
    return bool(_UNSPACED.search(text))


def may_be_same_name(one: str, other: str) -> bool:
    """Whether two PNs may name one person: they share a word, or cannot be compared.

    Words are compared whatever their component and group: family and given name are swapped, a
    maiden name stays beside a new one, a device keeps one group of three. Names that have no
    script in common say nothing, no more than an empty one. Prefix and suffix do not count.
    """
    ours, theirs = _name_words(one), _name_words(other)
    if ours == theirs or not (set(map(_script, ours)) & set(map(_script, theirs))):
        return True
    return any(_is_same_word(word, another) for word in ours for another in theirs)


def _name_words(patient_name: str) -> frozenset[str]:
    """Return the words that tell people apart; those with a letter lost are left out."""
    parts = [part for group in patient_name.split("=") for part in group.split("^")[:3]]
    words = frozenset(word for part in parts for word in folded(part).split())
    words = words - _PARTICLES or words
    return frozenset(
        _SPELT_OUT.sub(lambda found: found[1] or "a", word)
        for word in words
        if not _LOST & set(word)
    )


def _script(word: str) -> str:
    """Return the script of a word as Unicode names it: LATIN, CYRILLIC, CJK."""
    letter = next(filter(str.isalpha, word), word[0])
    return unicodedata.name(letter, "UNNAMED").split()[0]


def _is_same_word(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if is_unspaced(short):  # 山田太郎 is 山田^太郎
        return short in long
    if len(short) >= _SHORTENED:
        return long.startswith(short)
    return len(short) > 1 and short == long  # an initial is everybody's
