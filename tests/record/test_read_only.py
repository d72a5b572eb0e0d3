"""A book that can only be read: a share, an archive, a colleague's. Looked at, and left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from pythons import environment

import stepbook

# Root may write everywhere, so that another user looks; who is not root takes the right away.
AS_ROOT = hasattr(os, "getuid") and os.getuid() == 0
pytestmark = [
    pytest.mark.by_turns(0.6),
    pytest.mark.skipif(os.name == "nt", reason="Windows has other rights"),
]

LOOKS = """
    import json, os, sys, tempfile, warnings
    import stepbook, stepbook.cli.main
    from click.testing import CliRunner

    cli = stepbook.cli.main.cli


    def command(path, *arguments):
        done = CliRunner().invoke(cli, [*arguments, "--book", path])
        return done.exit_code, done.output


    def refused(call):
        try:
            call()
        except stepbook.StepbookError as error:
            return [type(error).__name__, str(error)]


    def looks(path, run_id, page):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            book = stepbook.connect(path)
            run = book.get(run_id)
            answer = {
                "runs": sorted(book.runs()["id"]),
                "steps": list(book.steps()["name"]),
                "attempts": len(book.attempts()),
                "sql": book.sql(
                    "SELECT (SELECT count(*) FROM steps), (SELECT count(*) FROM runs), "
                    "(SELECT string_agg(message, ' ' ORDER BY rowid) FROM logs)"
                ).values.tolist(),
                "value": book.get(run_id).steps()["return"].tolist()[:1],
                "logs": len(run.logs()),
                "summary": len(book.summary()),
                "repr": len(repr(run)) > 0 and len(book._repr_mimebundle_()) > 0,
                "timeline": len(repr(run.timeline())) > 0,
                "page": run.to_html(os.path.join(page, "run.html")).stat().st_size > 1000,
                "cli runs": command(path, "runs"),
                "cli show": command(path, "show", run_id, "--logs", "--outputs"),
                "cli steps": command(path, "steps", run_id),
                "doctor": command(path, "doctor"),
            }
            answer["warnings"] = [str(w.message) for w in caught]
        return answer


    warm, path, run_id, warm_id, user = sys.argv[1:]
    pages = tempfile.mkdtemp()
    os.chmod(pages, 0o777)
    # Everything once: another user may not read where things are imported from.
    looks(warm, warm_id, pages)
    book = stepbook.connect(warm)
    with book.run("warm") as run:
        run.do("new", lambda: 1)
    book.deliver_scan(run.id, 1)
    book.delete(run.id, force=True)
    book.close()
    os.unlink(os.path.join(pages, "run.html"))
    if user != "0":
        os.setgid(int(user))
        os.setuid(int(user))
    answer = looks(path, run_id, pages)
    book = stepbook.connect(path)
    answer["open"] = refused(lambda: book.run("loop"))
    answer["deliver"] = refused(lambda: book.deliver_scan(run_id, 1))
    answer["delete"] = refused(lambda: book.delete(run_id, force=True))
    answer["do"] = refused(lambda: book.get(run_id).do("new", lambda: 1))
    book.close()
    print(json.dumps(answer))
"""

RECORDS = """
    import os, sys
    import stepbook, stepbook.record.folding

    book = stepbook.connect(sys.argv[1])

    def a():
        stepbook.context().log("first")
        stepbook.context().log("second")
        return "in the tables"

    run = book.run("loop")
    run.do("a", a)
    run.do("big", lambda: "x" * 200_000)
    run.close()
    book.run("other").finish(1)
    if sys.argv[2] == "left":
        stepbook.record.folding.GATHER_S = 3600
        run = book.run("loop")
        run.do("b", lambda: stepbook.context().log("third"))
        new = book.run("third")
        new.do("c", lambda: 3)
    else:
        book.close()
    print(run.id, flush=True)
    os._exit(0)
"""


def python(source: str, folder: Path, *arguments: object) -> str:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def states(folder: Path) -> dict[str, tuple[int, ...]]:
    found = {}
    for path in [folder, *folder.rglob("*")]:
        is_ = path.lstat()
        found[str(path)] = (is_.st_mode, is_.st_size, is_.st_mtime_ns, is_.st_ctime_ns, is_.st_ino)
    return found


def close_to_writers(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


class Look:
    """A book that is closed to writers, as another user sees it."""

    def __init__(self, tmp: Path, kind: str, change=None, close=None) -> None:
        self.folder = tmp / "closed"
        self.folder.mkdir()
        self.path = self.folder / "stepbook.duckdb"
        self.run_id = python(RECORDS, tmp, self.path, kind)
        warm = tmp / "warm.duckdb"
        warm_id = python(RECORDS, tmp, warm, "left")
        if change is not None:
            change(self)
        close_to_writers(self.folder)
        if close is not None:
            close(self)
        for folder in (tmp, *tmp.parents):
            if folder.stat().st_mode & 0o077 == 0:
                folder.chmod(0o755)
        before = states(self.folder)
        user = 65534 if AS_ROOT else 0
        answer = python(LOOKS, tmp, warm, self.path, self.run_id, warm_id, user)
        self.answer = json.loads(answer)
        self.untouched = states(self.folder) == before
        for path in [self.folder, *self.folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)  # so that it can be removed


@pytest.fixture
def apart():
    """A folder that other users can reach."""
    folder = Path(tempfile.mkdtemp(prefix="stepbook-read-only-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_all_that_looks_works_and_writes_nothing(apart):
    look = Look(apart, "whole")
    found = look.answer
    assert look.untouched
    assert len(found["runs"]) == 2
    assert found["steps"] == ["a", "big"]
    assert found["sql"] == [[2, 2, "first second"]]
    for command in ("cli runs", "cli show", "cli steps", "doctor"):
        assert found[command][0] == 0, found[command]
    assert "read-only for this user" in found["doctor"][1]
    assert found["warnings"] == []


def test_what_is_not_in_the_tables_yet_is_read_from_the_journals(apart):
    look = Look(apart, "left")
    found = look.answer
    assert look.untouched
    assert len(found["runs"]) == 3
    assert sorted(found["steps"]) == ["a", "b", "big", "c"]
    assert found["sql"] == [[4, 3, "first second third"]]
    assert found["attempts"] == 4
    assert found["warnings"] == []
    assert "b" in found["cli show"][1]


def test_opening_a_run_there_says_to_copy_the_book(apart):
    look = Look(apart, "left")
    for what in ("open", "deliver", "delete", "do"):
        name, text = look.answer[what]
        assert name == "BookError", what
        assert "copy the database and the folder" in text, what
        assert str(look.folder) in text, what
    assert look.untouched


def test_a_copy_of_it_goes_on(apart, tmp_path):
    look = Look(apart, "left")
    shutil.copytree(look.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    run = stepbook.connect(tmp_path / "copy" / "stepbook.duckdb").run("loop")
    assert run.do("a", lambda: "again") == "in the tables"
    assert run.do("big", lambda: "again") == "x" * 200_000
    run.close()


def test_a_journal_that_may_not_be_read_is_said_and_the_rest_is_shown(apart):
    def unreadable(look):
        for path in (look.folder / "stepbook.duckdb.d" / "journal").iterdir():
            if look.run_id not in path.name:
                path.chmod(0)

    look = Look(apart, "left", close=unreadable)
    assert look.untouched
    assert sorted(look.answer["steps"]) == ["a", "b", "big"]
    assert any("is not shown" in said for said in look.answer["warnings"])


def test_a_folder_of_journals_that_may_not_be_read_is_said_and_the_tables_are_shown(apart):
    journal = "stepbook.duckdb.d/journal"
    look = Look(apart, "left", close=lambda look: (look.folder / journal).chmod(0))
    assert look.untouched
    assert sorted(look.answer["steps"]) == ["a", "big"]
    assert any("is not shown" in said for said in look.answer["warnings"])


def test_a_database_alone_without_its_folder_can_be_looked_at(apart):
    look = Look(apart, "whole", lambda look: shutil.rmtree(f"{look.path}.d"))
    assert look.untouched
    assert len(look.answer["runs"]) == 2
    assert look.answer["cli runs"][0] == 0
    assert look.answer["open"][0] == "BookError"


def test_a_log_of_the_database_that_was_not_taken_in_is_read_and_left(apart):
    def killed(look):
        python(
            """
            import duckdb, os, sys
            with duckdb.connect(sys.argv[1]) as c:
                c.execute("SET checkpoint_threshold = '1GB'")
                c.execute("UPDATE runs SET note = 'noted'")
                os._exit(print("x", flush=True) or 0)
            """,
            apart,
            look.path,
        )
        assert look.path.with_name("stepbook.duckdb.wal").stat().st_size > 0

    look = Look(apart, "whole", killed)
    assert look.untouched
    assert len(look.answer["runs"]) == 2
    assert look.answer["doctor"][0] == 0
