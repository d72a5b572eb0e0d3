"""A child that a body forks ends where the body ends, and records nothing."""

from __future__ import annotations

import os

import pytest

import stepbook

HEAD = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
import stepbook

here = os.getpid()

def body():
    child = os.fork()
    if child == 0:
        {way}
    # A pipe would stay open in a child that goes on: it is waited for, and never for ever.
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("the child ended with", code, flush=True)
    return "the parent's"

async def awaited():
    return body()

run = stepbook.run("loop")
run.do("First", int)
try:
    {call}
except Exception:
    if os.getpid() == here:
        raise
finally:
    if os.getpid() != here and {way!r}.startswith("sys.exit"):
        print("the child went on", flush=True)
if os.getpid() != here:
    os._exit(5)
run.do("Last", int)
run.finish()
"""

CALLS = {
    "alone": "run.do('Forks', body)",
    "with a timeout": "run.options(timeout=60).do('Forks', body)",
    "retried": "run.options(retries=1).do('Forks', body)",
    "not stored": "run.options(store=False).do('Forks', body)",
    "within another": "run.do('Outer', lambda: run.do('Forks', body))",
    "in a block": "with run: run.do('Forks', body); run.do('More', int)",
    "in a thread": "with ThreadPoolExecutor() as pool: pool.submit(run.do, 'Forks', body).result()",
    "awaited": "asyncio.run(run.do('Forks', awaited))",
    "followed by a timeline": "timeline = run.timeline(); run.do('Forks', body)",
}
WAYS = {
    "sys.exit(7)": 7,
    "sys.exit()": 0,
    "sys.exit('no')": 1,
    "raise ValueError('in the child')": 5,
    "return bytes(100_000)": 5,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
@pytest.mark.parametrize(
    ("call", "way"),
    [*((call, "sys.exit(7)") for call in CALLS), *(("alone", way) for way in list(WAYS)[1:])],
)
def test_child_ends_as_it_asks_and_the_parent_records_the_step(child, tmp_path, call, way):
    source = HEAD.format(way=way, call=CALLS[call])
    path = tmp_path / "b.duckdb"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STEPBOOK_BOOK", str(path))
        code, out, said = child(source).end()
    assert (code, out) == (0, f"the child ended with {WAYS[way]}\n"), said
    assert ("no\n" in said) is (way == "sys.exit('no')")
    run = stepbook.connect(path).get("loop")
    assert run.status == "succeeded"
    with run.book._opened.records.store.reading() as reader:
        rows = set(reader.execute("SELECT status, attempt FROM steps"))
    assert rows == {("succeeded", 1)}
    assert not list((tmp_path / "b.duckdb.d").rglob("*.blob"))
