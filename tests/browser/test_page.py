"""The self-contained page that `run.to_html` writes, in a browser without a network."""

from __future__ import annotations

import json

import duckdb
import pytest

import stepbook


@pytest.fixture
def page_of(browser, tmp_path):
    """Open the page of a run; nothing may be asked of the network, and nothing go wrong."""
    context = browser.new_context(offline=True)
    asked, errors = [], []

    def show(run):
        path = run.to_html(tmp_path / "run.html")
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(path.as_uri())
        page.wait_for_selector(".sb-root[data-count]")
        return page

    yield show
    context.close()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert errors == []


@pytest.fixture
def run(tmp_path):
    """An open run."""
    return stepbook.connect(tmp_path / "book.duckdb").run("loop", input={"a": 1})


def test_a_page_shows_a_recorded_run(page_of, run):
    run.do("Load profile", lambda: {"region": "EU"})
    run.finish({"sent": True})
    page = page_of(run)
    assert page.locator(".sb-name").all_text_contents() == ["Load profile"]
    page.locator(".sb-head").click()
    assert page.get_by_role("tree").text_content().strip().startswith('region: "EU"')
    # Without a kernel there is nothing to act with.
    assert page.get_by_role("button", name="Redo").count() == 0


def test_hostile_data_runs_nothing_in_a_page(page_of, run):
    bad = "</script><img src=x onerror=window.hacked=1><script>window.hacked=1</script><!--"
    run.do(bad, lambda: {bad: bad, "__proto__": {"hacked": 1}})
    page = page_of(run)
    page.locator(".sb-head").click()
    assert page.locator(".sb-name").text_content() == bad
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("({}).hacked") is None


BAD = (
    '"><img src=x onerror=window.hacked=1></script><script>window.hacked=1</script><!--'
    "'`&amp;\u2028<a href=javascript:window.hacked=1>x</a>\x1b[31m\u202e"
)
SHAPES = [
    BAD,
    {"type": BAD, "message": BAD, "stack": BAD, "done": BAD, "until": BAD, BAD: BAD},
    {"$stepbook": BAD, "shape": [BAD], "preview": [[BAD]], "columns": {"labels": [BAD]}},
    {"$stepbook": "pandas.DataFrame", "shape": [1, 1], "dtypes": {BAD: BAD}, "preview": [[BAD]],
     "columns": {"labels": [BAD]}},
    {"$stepbook": [BAD], "shape": 5},
    {"$stepbook": "file", "name": BAD, "bytes": BAD, "sha256": BAD, "file": BAD},
    [BAD, [BAD], {BAD: [BAD]}],
    7,
]  # fmt: skip


@pytest.mark.by_turns(0.5)
@pytest.mark.parametrize("enums", [False, True], ids=["known", "unknown"])
@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
def test_a_page_of_a_book_that_somebody_has_changed_runs_nothing(page_of, tmp_path, shape, enums):
    path = tmp_path / "book.duckdb"
    book = stepbook.connect(path)
    run = book.run("loop", input={"a": 1})
    run.do("A", lambda: run.do("B", lambda: 1))
    with pytest.raises(ZeroDivisionError):
        run.do("C", lambda: 1 / 0)
    run.finish(2)
    book.close()
    texts = ["name", "parent", "item", "fingerprint", "cell_id", *(["kind", "status"] * enums)]
    of_run = ["loop", "key", "note", *(["status", "trigger_type"] * enums)]
    with duckdb.connect(path) as connection:
        for column in texts:
            new = "name || $1" if column in ("name", "parent") else "$1"
            connection.execute(f"UPDATE steps SET {column} = {new}", [BAD])
        for column in of_run:
            connection.execute(f"UPDATE runs SET {column} = $1", [BAD])
        for table, column in (
            ("steps", "return"), ("steps", "error"), ("steps", "progress"), ("runs", "input"),
            ("runs", "output"),
        ):  # fmt: skip
            connection.execute(f'UPDATE {table} SET "{column}" = $1', [json.dumps(shape)])
        connection.execute("UPDATE steps SET seconds = 'nan', completed_at = 'infinity'")
    book = stepbook.connect(path)
    run = book.get(run.id)
    page = page_of(run)
    expand = page.get_by_role("button", name="Expand all")
    if expand.count():
        expand.click()
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("({}).hacked") is None
    assert page.evaluate("document.querySelectorAll('img, a, iframe, object, embed').length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    handlers = """[...document.querySelectorAll('*')].filter(
        e => [...e.attributes].some(a => a.name.startsWith('on') || /javascript:/.test(a.value)
                                    && a.name !== 'title' && a.name !== 'aria-label')).length"""
    assert page.evaluate(handlers) == 0
    assert [text.rstrip() for text in page.locator(".sb-name").all_text_contents()] == [
        f"{name}{BAD}".rstrip() for name in ("A", "B", "C")
    ]
    # The static view, where a page shows it as it is.
    for html in (run._repr_mimebundle_()["text/html"], book._repr_mimebundle_()["text/html"]):
        page.evaluate("html => { document.body.innerHTML = html }", html)
        assert page.evaluate("document.querySelectorAll('img, a, script, iframe').length") == 0
        assert page.evaluate("window.hacked") is None
    book.close()
