"""Whatever a step returns comes back equal and of the same type, in any process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sameness import assert_same
from strategies import values

from stepbook.record.artifacts import Artifacts
from stepbook.values import writer as values_writer
from stepbook.values.codec import Codec


class Replayer:
    """A second process, with other hashes of strings, that reads back and compares."""

    def __init__(self, folder):
        self.folder = folder
        self.codec = Codec(Artifacts(folder / "files", folder / "lock"))
        here = Path(__file__).parents[1] / "support"
        self.process = subprocess.Popen(
            [sys.executable, here / "replayer.py"],
            env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(here.parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def check(self, text, original):
        pickle.dump((self.folder, text, original), self.process.stdin, 5)
        self.process.stdin.flush()
        answer = pickle.load(self.process.stdout)
        assert answer is None, answer


@pytest.fixture(scope="module")
def replayer(tmp_path_factory):
    started = Replayer(tmp_path_factory.mktemp("book"))
    yield started
    started.process.stdin.close()
    started.process.wait()
    started.process.stdout.close()


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(value=values)
def test_every_value_comes_back_in_another_process(replayer, value):
    with replayer.codec.writing() as writer:
        text = writer.encode(value)
    text.encode()
    assert_same(value, replayer.codec.decode(text))
    replayer.check(text, value)


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(value=values)
def test_every_value_comes_back_from_files(replayer, value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values_writer, "INLINE_BYTES", 0)
        patch.setattr(values_writer, "_INLINE_RAW", 0)
        with replayer.codec.writing() as writer:
            text = writer.encode(value)
    assert '"file":' in text
    replayer.check(text, value)


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(value=values)
def test_the_same_value_gives_the_same_text(replayer, value):
    again = pickle.loads(pickle.dumps(value, 5))
    assert replayer.codec.encode(value) == replayer.codec.encode(again)
