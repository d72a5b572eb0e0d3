"""Replays the catalogue from a book and compares it; see test_do_returns."""

from __future__ import annotations

import sys

import catalogue
from sameness import assert_same

import stepbook

given = catalogue.replay(stepbook.connect(sys.argv[1]))
for step in catalogue.STEPS:
    assert_same(step(), given[step.__name__], step.__name__)
print(len(given))
