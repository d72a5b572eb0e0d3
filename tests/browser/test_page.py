"""The self-contained page that `run.to_html` writes, in a browser without a network."""

from __future__ import annotations

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
