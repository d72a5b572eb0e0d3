"""Durations are told alike wherever they are told; the page's tests read the same fixture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from stepbook.model.durations import describe

FIXTURE = Path(__file__).parents[1] / "fixtures" / "durations.json"


@pytest.mark.parametrize(("seconds", "text"), json.loads(FIXTURE.read_text(encoding="utf-8")))
def test_durations_are_for_people(seconds, text):
    assert describe(seconds) == text


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_duration_is_told_as_nothing(nothing):
    assert describe(nothing) == ""
