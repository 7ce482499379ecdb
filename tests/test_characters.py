import re
import sys
import unicodedata

import pytest

from shared.characters import ADDRESS_CLASS, LINE_CLASS, check_address_characters, check_line

#: What each language or emoji needs, as its writers type it.
READABLE = {
    "a family of three": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "the flag of Scotland": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "Persian with a half-space": "\u0645\u06cc\u200c\u0631\u0648\u062f",
    "Hindi with a joiner": "\u0915\u094d\u200d\u0937",
    "Hebrew with a direction mark": "\u05d3\u05d5\u05d7 (PDF)\u200f",
    "Arabic with a letter mark": "\u062a\u0642\u0631\u064a\u0631\u061c 2026",
    "German": "Gr\u00f6\u00dfe \u2013 \u201eUmsatz\u201c",
    "a no-break space": "10\u00a0000\u202f\u20ac",
}
TAGS = {chr(code) for code in range(0xE0020, 0xE0080)}
NEEDED = TAGS | {chr(0x061C)} | {chr(code) for code in range(0x200C, 0x2010)}
INVISIBLE = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"}
]


def is_refused(text: str, check: object) -> bool:
    assert callable(check)
    try:
        check(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_a_line_may_have_what_scripts_and_emoji_need(text: str) -> None:
    assert check_line(text) == text


def test_a_line_may_have_no_other_invisible_character() -> None:
    taken = {each for each in INVISIBLE if not is_refused(f"a{each}b", check_line)}

    assert taken == NEEDED & set(INVISIBLE)


def test_an_address_may_have_no_invisible_character_at_all() -> None:
    assert [each for each in INVISIBLE if not is_refused(f"a{each}b", check_address_characters)] == []


def test_nothing_visible_is_refused() -> None:
    visible = set(map(chr, range(sys.maxunicode + 1))) - set(INVISIBLE) - NEEDED
    text = "".join(sorted(visible))

    assert check_line(text) == text
    assert check_address_characters(text) == text


@pytest.mark.parametrize(
    ("character", "named"), [("\u202e", "U+202E"), ("\n", "U+000A"), ("\U000e0001", "U+E0001")]
)
def test_the_refused_character_is_named(character: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        check_line(f"a{character}b")


@pytest.mark.parametrize(
    ("letters", "check"), [(LINE_CLASS, check_line), (ADDRESS_CLASS, check_address_characters)]
)
def test_up_to_ffff_the_published_classes_are_the_rules(letters: str, check: object) -> None:
    published = re.compile(f"[{letters}]")

    for code in range(0x10000):
        assert bool(published.search(chr(code))) is is_refused(chr(code), check)
