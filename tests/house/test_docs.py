"""README and docs: what they name exists, what exists they name, and their code runs."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import stepbook
from stepbook import errors as all_errors
from stepbook.cli.main import cli
from stepbook.notebook import magics, requests

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text("utf-8")
ALL = "\n".join([README, *PAGES.values()])
COMMANDS = {name: {o for p in c.params for o in p.opts} for name, c in cli.commands.items()}
OPTIONS = {o for options in COMMANDS.values() for o in options if o.startswith("--")}
#: What stands for what in the examples.
SPOKEN = {
    "stepbook": stepbook,
    "book": stepbook.Book,
    "run": stepbook.Run,
    "ctx": stepbook.StepContext,
    "step": stepbook.Run,
}


def test_every_public_name_is_in_the_docs():
    assert [name for name in stepbook.__all__ if name not in ALL and name != "__version__"] == []


@pytest.mark.parametrize("cls", [stepbook.Book, stepbook.Run])
def test_every_public_method_is_in_the_docs(cls):
    methods = [n for n, _ in inspect.getmembers(cls, inspect.isfunction) if not n.startswith("_")]
    missing = [n for n in methods if not re.search(rf"\b{n}\(|`(\w+\.)?{n}`", ALL)]
    # Told by their twins.
    assert set(missing) <= {"sleep_async", "log"}


def test_the_docs_name_no_attribute_that_does_not_exist():
    instance = vars(stepbook.StepContext) | dict.fromkeys(
        ("scan", "name", "run_id", "loop", "attempt")
    )
    wrong = []
    for owner, name in re.findall(r"\b(?<![\"'])(stepbook|book|run|ctx|step)\.([a-z]\w*)\b", ALL):
        known = hasattr(SPOKEN[owner], name) or (owner == "ctx" and name in instance)
        if not known and name not in ("duckdb", "json", "fish", "html"):
            wrong.append(f"{owner}.{name}")
    assert wrong == []


def test_the_docs_name_no_error_that_does_not_exist():
    named = set(re.findall(r"`(\w+(?:Error|Warning))`", ALL)) - {"DBOSUnexpectedStepError"}
    others = {"TimeoutError", "CancelledError"}  # the standard library's
    assert {n for n in named if not hasattr(all_errors, n)} - others == set()


def test_the_page_of_errors_shows_the_tree_of_the_module_and_a_row_for_each():
    head = ast.get_docstring(ast.parse(Path(all_errors.__file__).read_text("utf-8")))
    tree = inspect.cleandoc(head.partition("::\n\n")[2].partition("\n\nMessages")[0])
    page = PAGES["errors.md"]
    assert tree in page
    groups = ("StepbookError", "BookError", "RunError", "StepError", "ScanError", "StepbookWarning")
    errors = [
        name
        for name, value in vars(all_errors).items()
        if isinstance(value, type) and issubclass(value, (stepbook.StepbookError, UserWarning))
    ]
    assert [n for n in errors if n not in groups and f"\n| `{n}` |" not in page] == []
    assert [n for n in groups if f"`{n}`" not in page] == []


def test_every_column_of_every_table_is_on_its_page():
    book = stepbook.connect(":memory:")
    book.run("any").close()
    page = PAGES["files-and-tables.md"]
    columns = book.sql(
        "SELECT DISTINCT column_name AS name FROM information_schema.columns "
        "WHERE table_catalog <> 'temp'"
    )
    assert [name for name in columns["name"] if f"`{name}`" not in page] == []


def test_every_command_and_every_option_is_on_the_page_of_the_command_line():
    page = PAGES["cli.md"]
    for name, options in COMMANDS.items():
        assert f"`stepbook {name}" in page
        for option in options:
            assert not option.startswith("--") or option in page, (name, option)


def test_every_option_of_a_cell_is_in_its_usage_in_its_help_and_on_its_page():
    for option in requests.OPTIONS:
        assert f"[{option}" in requests.USAGE or f"-- {option} " in requests.USAGE, option
        assert f"* `{option}" in magics.StepbookMagics.step.__doc__, option
        assert f"| `{option}" in PAGES["cells.md"], option


def test_the_docs_name_no_command_and_no_option_that_does_not_exist():
    code = "\n".join(
        re.findall(r"`[^`\n]+`", ALL) + re.findall(r"```console\n(.*?)```", ALL, re.DOTALL)
    )
    commands = set(re.findall(r"(?:^|[`$ ]|bin/)stepbook ([a-z]+)", code))
    assert commands - COMMANDS.keys() == set()
    # The scanner's, and those of other tools.
    foreign = {"--json", "--format", "--group", "--execute", "--nbval", "--help", "--version"}
    modules = (Path(stepbook.__file__).parent / "notebook").glob("*.py")
    tools = (ROOT / "fidelity").glob("*.py")
    written = {
        option for path in (*modules, *tools) for option in _options(path.read_text("utf-8"))
    }
    assert _options(code) - OPTIONS - written - foreign == set()


def _options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_the_help_of_each_command_names_what_exists():
    for name, command in cli.commands.items():
        text = command.get_help(click.Context(command, info_name=name))
        assert set(re.findall(r"stepbook ([a-z]+)", text)) <= COMMANDS.keys() | {name}


def test_links_lead_to_files_that_exist():
    for folder, text in [(ROOT, README), *((ROOT / "docs", page) for page in PAGES.values())]:
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("https://") or (folder / target).exists(), target


def test_the_two_commands_stand_in_the_readme_and_the_second_one_exists():
    assert ".venv/bin/stepbook demo" in README
    assert "bash scripts/test" in README
    assert (ROOT / "scripts" / "test").is_file()


# ---- the tour -------------------------------------------------------------------------------

DURATION = re.compile(r" +(<1 ms|\d+ µs|\d+(\.\d)? ms|\d+\.\d\d? s)")
RUN_ID = re.compile(r"run_[0-9a-z]{12}")


def told(text):
    """Return *text* without what differs between two executions."""
    return RUN_ID.sub("RUN", DURATION.sub(" TIME", text)).strip()


@pytest.fixture
def tour(tmp_path):
    """The README's scripts in a folder, and the outputs that it shows, by command."""
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL):
        (tmp_path / name).write_text(code, "utf-8")
    shown = {}
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            shown.setdefault(command, []).append(told(output))
    return tmp_path, shown


def test_the_tour_of_the_readme_happens_as_it_is_told(tour):
    folder, shown = tour
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STEPBOOK_")}
    environment = {**kept, "STEPBOOK_BOOK": "tour.duckdb", "COLUMNS": "100"}

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.returncode, told(done.stdout), done.stderr

    with subprocess.Popen(
        [sys.executable, "review.py"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as first:
        said = [first.stderr.readline().strip() for _ in range(3)]
        told_first = shown["python review.py"][0].splitlines()
        begins = [re.split(r" until | to |run_|RUN", line)[0] for line in said]
        assert begins == [
            re.split(r" until | to |run_|RUN", line.strip())[0] for line in told_first
        ]
        command = """stepbook deliver health-review '{"glucose": 97}'"""
        assert call("-m", "stepbook", "deliver", "health-review", '{"glucose": 97}') == (
            0,
            shown[command][0],
            "",
        )
        assert "FileNotFoundError" in first.communicate(timeout=60)[1]
        assert first.returncode == 1

    show = "stepbook show health-review"
    assert call("-m", "stepbook", "show", "health-review")[1] == shown[show][0]
    (folder / "online").write_text("the clinic\n")
    assert call("review.py")[0] == 0
    assert call("-m", "stepbook", "show", "health-review")[1] == shown[show][1]
    assert call("look.py")[1] == shown["python look.py"][0]
