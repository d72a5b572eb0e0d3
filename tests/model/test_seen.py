"""Text as it may be shown: ordinary text stays, and everything else can be seen."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from stepbook.seen import in_colour, seen, seen_in_json

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]
#: Most of those that matter, and some of the rest.
MANY = [*EVERY[:0x3200], *EVERY[0x3200::89], *EVERY[0xE0000:0xE0200]]


@pytest.mark.parametrize(
    "text",
    [
        "plain", "Ünïcödé", "漢字 かな 한국어", "שלום עולם", "مرحبا", "می‌خواهم", "नमस्ते क्‍ष", "ไทย",
        "e\u0301", "👩‍👩‍👧", "❤️‍🔥", "1️⃣", "👍🏽", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a\xa0b\u202fc\u3000d", "\u0600١٢", "≠ ✓ …",  # noqa: RUF001
    ],
)  # fmt: skip
def test_ordinary_text_in_any_script_stays(text):
    assert seen(text) == text
    assert seen_in_json(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\x00\x1b[31m\x7f\x9b2J", r"\x00\x1b[31m\x7f\x9b2J"),
        ("\u2028\u2029\x85\x1c", r"\u2028\u2029\x85\x1c"),
        ("\u202etxt\u2066\u200e\u200f\u061c", r"\u202etxt\u2066\u200e\u200f\u061c"),
        ("p\u200ba\xady\ufeff\u2060\u3164", r"p\u200ba\xady\ufeff\u2060\u3164"),
        ("pay\u200dpal\u200c", r"pay\u200dpal\u200c"),
        ("é\u200d\u200d\u200d", "é\u200d" + r"\u200d\u200d"),
        ("👍\ufe0f\ufe01\ufe02", "👍\ufe0f" + r"\ufe01\ufe02"),
        ("\U000e0041\U000e0042", r"\U000e0041\U000e0042"),
        ("\ud800", r"\ud800"),
        ("é\n\u200d", r"é\n\u200d"),
    ],
)
def test_what_nobody_would_see_or_a_terminal_would_obey_is_written(text, shown):
    assert seen(text) == shown
    assert seen(shown) == shown


def test_no_character_but_those_that_are_seen_comes_through():
    for before, characters in (("a", MANY), ("é", EVERY)):
        for character in characters:
            kind = unicodedata.category(character)
            if seen(before + character) == before + character:
                assert kind not in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
                visible = unicodedata.name(character, "").startswith(("ARABIC", "SYRIAC", "KAITHI"))
                assert kind != "Cf" or visible or (before == "é" and character in "\u200c\u200d")
            elif character.isprintable():
                assert character in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"


def test_json_is_the_same_value_with_nothing_hidden_in_it():
    value = {character: [character] for character in MANY if not "\ud800" <= character <= "\udfff"}
    text = seen_in_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert text == seen_in_json(text)
    assert seen_in_json('["\u202e\x7f\U000e0041"]') == r'["\u202e\u007f\udb40\udc41"]'


@pytest.mark.parametrize(
    "style",
    ["0", "", "1", "31", "1;31", "38;5;208", "38;5;8", "48;2;8;8;8", "38;2;1;2;3;1", "00", "28"],
)
def test_colours_and_weight_stay(style):
    assert in_colour(f"\x1b[{style}mtext") == f"\x1b[{style}mtext\x1b[0m"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[8m", "\x1b[1;8m", "\x1b[08m", "\x1b[38;5;1;8m", "\x1b[2J", "\x1b[1;1H", "\x1b[?25l",
        "\x1b]0;title\x07", "\x1b]52;c;AAAA\x07", "\x1b]8;;http://x\x1b\\", "\x1bc", "\x1b[>31m",
        "\x1b[38:5:1m", "\x1bP+q\x1b\\", "\x9b31m", "\x1b[" + "1;" * 40 + "m",
    ],
)  # fmt: skip
def test_nothing_else_that_a_terminal_obeys_is_a_colour(text):
    shown = in_colour(f"\x1b[31mred{text}more\r")
    assert shown.startswith("\x1b[31mred")
    assert shown.count("\x1b") == 2
    assert shown.isprintable() is False
    assert "\r" not in shown
    assert "\x9b" not in shown
