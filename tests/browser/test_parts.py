"""What a reader finds in a timeline and does with it, part by part."""

from __future__ import annotations

import json
import re

import pytest
from pictures import keep
from playwright.sync_api import expect
from recorded import recorded_run

import stepbook
from stepbook.show import html
from stepbook.timeline import bundle, wire

pytestmark = pytest.mark.by_turns(0.5)

BEFORE = """import stepbook, time, pandas
run = stepbook.run("parts", key="before", new=True)
run.do("Load", lambda: {"region": "US"})
run.finish()
run = stepbook.run("parts", key="now", new=True)
def refused():
    raise ConnectionError("refused")
try:
    run.do("Load", refused)
except ConnectionError:
    run.close()
run = stepbook.run("parts", key="now")
run"""
STEPS = """run.do("Load", lambda: {"region": "EU", "n": [1, 2], "none": None})
run.do("Table", lambda: pandas.DataFrame({"n": range(120), "text": ["x"] * 120}))
labels = [f"p-{i}" for i in range(80)]
run.do("Labelled", lambda: pandas.DataFrame({"age": range(80)}, index=labels))
run.do("Long", lambda: {"text": "a" * 9000 + "needle in the haystack"})
run.do("Large", lambda: b"b" * 100_000)"""

#: What is the same in both applications is looked at in one.
lab = pytest.mark.parametrize("server", ["lab"], indirect=True)


@pytest.fixture
def parts(notebook):
    """A run with all there is, and an earlier one of the same loop."""
    nb = notebook(BEFORE, STEPS)
    nb.context.grant_permissions(["clipboard-read", "clipboard-write"])
    nb.run_all()
    nb.page.wait_for_function(
        "document.querySelectorAll('.sb-row[data-status=succeeded]').length == 5", timeout=10_000
    )
    return nb


def head(nb, name):
    """Return the head of a row."""
    return nb.timeline.locator(".sb-head", has=nb.page.get_by_text(name, exact=True))


def body(nb, name):
    """Open a row, and return it."""
    if head(nb, name).get_attribute("aria-expanded") == "false":
        head(nb, name).click()
    return nb.timeline.locator(
        ".sb-row", has=nb.page.locator(".sb-name", has_text=re.compile(f"^{name}$"))
    )


def copied(nb):
    """Return what is in the clipboard."""
    return nb.page.evaluate("navigator.clipboard.readText()")


@lab
def test_a_value_is_copied_as_json_as_python_and_its_path(parts):
    row = body(parts, "Load")
    row.get_by_role("button", name="Copy JSON").click()
    expect(row.get_by_text("Copied")).to_be_visible()
    assert json.loads(copied(parts)) == {"region": "EU", "n": [1, 2], "none": None}
    row.get_by_role("button", name="Copy as Python").click()
    parts.page.wait_for_function("navigator.clipboard.readText().then(t => t.includes('None'))")
    assert copied(parts) == '{"region": "EU", "n": [1, 2], "none": None}'
    row.get_by_role("treeitem", name="n:").first.focus()
    for key in ("ArrowRight", "ArrowDown", "p"):
        parts.page.keyboard.press(key)
    parts.page.wait_for_function("navigator.clipboard.readText().then(t => t == 'n[0]')")


@lab
def test_attempts_and_the_previous_run_are_shown(parts):
    row = body(parts, "Load")
    row.get_by_role("button", name="Attempts").click()
    expect(row.locator(".sb-past")).to_have_count(2)
    expect(row.locator(".sb-past").first).to_contain_text("ConnectionError: refused")
    row.get_by_role("button", name="Attempts").click()
    row.get_by_role("button", name="Previous run").click()
    expect(row.locator(".sb-past")).to_contain_text('"US"')
    parts.keep("previous-run")


@lab
def test_a_table_is_a_grid_with_more_rows_on_demand(parts):
    row = body(parts, "Table")
    expect(row.get_by_role("columnheader")).to_have_text(["Row", "n", "text"])
    expect(row.locator("tbody tr")).to_have_count(5)
    expect(row).to_contain_text("115 more rows in the book")
    row.get_by_role("button", name="Show more rows").click()
    expect(row.locator("tbody tr")).to_have_count(55)
    expect(row.locator("tbody tr").last).to_have_text(re.compile(r"54\s*x"))
    expect(row.get_by_role("rowheader").last).to_have_text("54")
    parts.keep("table")


@lab
def test_a_table_shows_what_its_rows_are_called(parts):
    row = body(parts, "Labelled")
    expect(row.get_by_role("rowheader")).to_have_text([f"p-{n}" for n in range(5)])
    row.get_by_role("button", name="Show more rows").click()
    expect(row.get_by_role("rowheader").last).to_have_text("p-54")
    expect(row.locator("tbody tr").last.locator("td")).to_have_text(["54"])
    row.get_by_role("button", name="Show more rows").click()
    expect(row.locator("tbody tr")).to_have_count(80)
    # The button is gone: the focus is at what is near it.
    expect(row.get_by_role("group", name="Table")).to_be_focused()
    parts.keep("labelled")


@lab
def test_what_stands_in_a_file_says_that_the_book_has_the_whole(parts):
    expect(body(parts, "Large")).to_contain_text("the book has the whole")


@lab
def test_search_finds_what_the_preview_leaves_out(parts):
    parts.timeline.get_by_role("searchbox").fill("NEEDLE in the")
    expect(parts.timeline.locator(".sb-name")).to_have_text(["Long"])
    expect(parts.timeline.locator(".sb-found")).to_contain_text("1 shown")


@lab
def test_rewind_sets_this_step_and_all_after_it_to_pending(parts):
    body(parts, "Table").get_by_role("button", name="Rewind to here").click()
    expect(parts.timeline.locator('.sb-row[data-status="pending"] .sb-name')).to_have_text(
        ["Table", "Labelled", "Long", "Large"]
    )


@lab
def test_targets_are_large_enough_and_nothing_moves_for_who_wants_that(parts):
    parts.timeline.get_by_role("button", name="Expand all").click()
    small = parts.page.evaluate(
        """[...document.querySelectorAll(
              '.sb-root button:not([aria-hidden]), .sb-root input, .sb-root [role=treeitem]')]
            .filter(e => e.checkVisibility())
            .map(e => [e.getBoundingClientRect(), e.outerHTML.slice(0, 80)])
            .filter(([box]) => Math.min(box.width, box.height) < 24)
            .map(([box, html]) => `${box.width} x ${box.height} ${html}`)"""
    )
    assert small == []
    parts.page.emulate_media(reduced_motion="reduce")
    moving = "document.getAnimations().filter(a => a.effect.target.closest('.sb-root')).length"
    assert parts.page.evaluate(moving) == 0


@lab
def test_a_closed_button_keeps_its_keys(parts):
    cells = parts.page.locator(".jp-CodeCell").count()
    for button in ("Expand all", "Collapse all", "Bars"):
        parts.timeline.get_by_role("button", name=button).focus()
        for key in ("x", "d", "d", "a", "j"):
            parts.page.keyboard.press(key)
    assert parts.page.locator(".jp-CodeCell").count() == cells


@lab
def test_after_a_restart_the_timeline_says_what_to_do(parts):
    panel = "window.jupyterapp.shell.currentWidget.context.sessionContext"
    parts.page.evaluate(f"{panel}.restartKernel()")
    parts.page.evaluate(f"{panel}.session.kernel.info")
    row = body(parts, "Load")
    row.get_by_role("button", name="Redo").click()
    expect(parts.timeline.get_by_role("alert")).to_contain_text("run the cell above again")
    parts.run_cell(0)
    expect(parts.timeline).to_have_count(1)
    expect(parts.timeline).to_contain_text("0 of 1 step, 1 failed")


SLOW = """run.do("Before the pause", lambda: 1)
time.sleep(2.5)
for n in range(60):
    run.do(f"Step {n}", lambda: time.sleep(0.02))
scan = run.wait_for_scan(timeout="1 minute")
"""


@lab
def test_the_list_follows_at_its_end_only_and_marks_pauses(notebook):
    nb = notebook("import stepbook, time\nrun = stepbook.run('follow', new=True)\nrun", SLOW)
    nb.run_cell(0)
    nb.page.wait_for_selector(".sb-root")
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    nb.start("notebook:run-cell")
    expect(head(nb, "Wait for scan")).to_be_visible(timeout=20_000)
    expect(head(nb, "Wait for scan")).to_contain_text(re.compile(r"\d\d s left"))
    scroll = nb.timeline.locator(".sb-scroll")
    scroll.evaluate("box => { box.scrollTop = 0; }")
    expect(head(nb, "Step 0")).to_be_visible()
    mark = nb.timeline.locator(".sb-gap:not([hidden])")
    expect(mark).to_have_count(1)
    assert re.match(r"2\.\d+ s without work", mark.get_attribute("title"))
    nb.keep("pause")
    # Whoever reads at the top is left there.
    run_id = nb.timeline.get_by_title("Copy the run's id").text_content()
    stepbook.connect(nb.server.root / "stepbook.duckdb").deliver_scan(run_id, 1)
    nb.page.wait_for_function("window.ended")
    expect(nb.timeline).to_contain_text("62 steps")
    assert scroll.evaluate("box => box.scrollTop") == 0


@lab
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_pictures_of_both_themes(notebook, theme):
    nb = notebook(BEFORE, STEPS, "stepbook.connect()", theme=theme, size=(1200, 1500))
    nb.run_all()
    nb.page.wait_for_function("document.querySelector('.sb-root')?.dataset.count >= 4")
    body(nb, "Load")
    expect(nb.page.locator(".sb-runs")).to_be_visible()
    nb.keep(theme.split()[-1].lower())


def test_a_map_is_one_row_that_opens_to_its_items_failed_ones_first(browser, tmp_path):
    recorded, steps = recorded_run()
    snapshot = wire.snapshot(recorded, steps, rev=1, now=recorded.created_at + 1_330_000_000)
    path = tmp_path / "run.html"
    path.write_text(
        html.page_html("a run", wire.encode(snapshot), bundle.bundle(), ""), encoding="utf-8"
    )
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.goto(path.as_uri())
    score = page.locator(".sb-head", has=page.get_by_text("Score", exact=True))
    expect(score).to_contain_text("3 of 4 items, 1 failed")
    # The run was going on when it was written: no time passes in a record.
    expect(page.locator(".sb-facts")).to_contain_text("22 min 10 s")
    names = page.locator(".sb-name")
    assert next(n for n in names.all_text_contents() if "[" in n) == "Score [i-0]"
    item = page.locator(".sb-row", has=page.get_by_text("Score [i-1]", exact=True))
    place = [item.get_attribute(f"aria-{name}") for name in ("posinset", "setsize", "level")]
    assert place == ["2", "4", "2"]
    score.click()
    expect(item).to_have_count(0)
    keep(page, "page")
    page.close()


def test_a_page_of_its_own_is_searched_printed_and_read_in_forced_colours(browser, tmp_path):
    run = stepbook.connect(tmp_path / "book.duckdb").run("page")
    for n in range(60):
        run.do(f"Step {n}", lambda n=n: {"n": n})
    run.do("Long", lambda: "a" * 900_000 + "needle")
    run.finish()
    context = browser.new_context(offline=True, viewport={"width": 320, "height": 700})
    page = context.new_page()
    page.goto(run.to_html(tmp_path / "run.html").as_uri())
    page.wait_for_selector(".sb-row")
    page.get_by_role("searchbox").fill("needle")
    found = page.locator(".sb-found")
    expect(found).to_contain_text("of values in files, the preview was searched")
    page.get_by_role("searchbox").fill("")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".sb-row")).to_have_count(61)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".sb-row").count() < 61
    page.emulate_media(forced_colors="active")
    keep(page, "page-forced-colours")
    context.close()
