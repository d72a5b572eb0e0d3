"""Which attempt an input of a cell comes from, as a fingerprint tells it."""

from __future__ import annotations

import json

import pytest

from stepbook.code.verdicts import maker_of, makers_of

RUN = "run_0123456789ab"
ATTEMPT = f"Load #1, attempt 2 of {RUN}"


@pytest.mark.parametrize(
    ("part", "maker"),
    [
        (f"=[1,2]\n{ATTEMPT}", ATTEMPT),
        (f"~{ATTEMPT}", ATTEMPT),
        (f"~{ATTEMPT} #ab12", ATTEMPT),
        (f"~{ATTEMPT}\n{ATTEMPT}", ATTEMPT),
        ("~f00d #ab12", "f00d"),
        ("~f00d", "f00d"),
        (f"={ATTEMPT}", ""),
        ("?sqlite3.Connection", ""),
    ],
)
def test_a_part_tells_its_maker_whatever_the_step_is_called(part, maker):
    assert maker_of(part) == maker


def test_inputs_of_another_run_and_of_plain_cells_come_from_no_step():
    other = ATTEMPT.replace("0123", "9999")
    inputs = {"a": f"~{ATTEMPT} #ab12", "b": f"=1\n{other}", "c": "~f00d", "d": f"={ATTEMPT}"}
    fingerprint = json.dumps({"code": "cell:1", "inputs": inputs})
    assert makers_of(fingerprint, RUN) == {"Load #1"}
