"""The reader's place in real notebooks: a run ends, tabs and outputs are hidden, panels moved."""

from __future__ import annotations

import pytest
from live import BLANK, SETTLED
from playwright.sync_api import expect

pytestmark = pytest.mark.by_turns(0.5)

OPEN = "import stepbook, time\nrun = stepbook.run('long', new=True)\nrun"
MANY = "for n in range(150):\n    run.do(f'Step {n}', lambda: {'n': n})\n"
END = "run.do('Last', lambda: 1)\nrun.finish()"
FAIL = """def fails():
    raise ValueError("image is 640 px wide")
run.do("Fails", fails)"""
SLOW = "for n in range(40):\n    run.do(f'Slow {n}', lambda: time.sleep(0.1))\n" + END

IN_SIGHT = """() => {
  const box = document.querySelector(".sb-scroll").getBoundingClientRect();
  return [...document.querySelectorAll(".sb-row")]
    .map((row) => [row.getBoundingClientRect(), row])
    .filter(([at]) => at.bottom > box.top + 1 && at.top < box.bottom - 1)
    .sort(([a], [b]) => a.top - b.top)
    .map(([, row]) => row.querySelector(".sb-name").textContent);
}"""
PANEL = "window.jupyterapp.shell.currentWidget"
lab = pytest.mark.parametrize("server", ["lab"], indirect=True)


def wait_for(nb, name, at=-1):
    """Wait until the last row in sight (or the first, 0) is this one, and nothing is blank."""
    nb.page.wait_for_function(
        f"""([name, at]) => document.querySelector(".sb-scroll")
            && ({IN_SIGHT})().at(at) === name && ({BLANK})() === 0""",
        arg=[name, at],
    )


def scroll(nb, top):
    """Scroll the list, and let it come to rest; return the first row in sight."""
    nb.timeline.locator(".sb-scroll").evaluate("(box, top) => { box.scrollTop = top; }", top)
    nb.page.evaluate(SETTLED)
    return nb.page.evaluate(IN_SIGHT)[0]


def begun(nb):
    """Execute the first two cells: the timeline is there, with many rows."""
    nb.run_cell(0)
    nb.page.wait_for_selector(".sb-root")
    nb.run_cell(1)
    nb.page.wait_for_function("document.querySelector('.sb-root')?.dataset.count >= 150")


@pytest.mark.parametrize("top", [2000, 100_000])
def test_rows_stay_in_sight_when_a_long_run_ends(notebook, top):
    nb = notebook(OPEN, MANY, END)
    begun(nb)
    row = scroll(nb, top)
    nb.run_cell(2)
    expect(nb.timeline.locator(".sb-status")).to_have_text("succeeded")
    if top > 2000:
        wait_for(nb, "Last")
    else:
        wait_for(nb, row, 0)
    nb.keep(f"ended-{top}")


def test_a_long_run_shows_its_failure_to_who_follows(notebook):
    nb = notebook(OPEN, MANY, FAIL)
    begun(nb)
    scroll(nb, 100_000)
    nb.run_cell(2)
    wait_for(nb, "Fails")
    # The page itself may be scrolled to the cell: the message is in the list's window.
    inside = nb.timeline.locator(".sb-message").evaluate(
        """message => message.getBoundingClientRect().bottom
            <= message.closest(".sb-scroll").getBoundingClientRect().bottom"""
    )
    assert inside
    nb.keep("failed-at-the-end")


@lab
def test_a_hidden_tab_is_found_as_it_was_left(notebook):
    nb = notebook(OPEN, MANY, SLOW)
    begun(nb)
    row = scroll(nb, 2000)
    nb.page.evaluate("window.panel = window.jupyterapp.shell.currentWidget")
    nb.page.evaluate("window.panel.content.activeCellIndex = 2")
    nb.start("notebook:run-cell")
    nb.command("launcher:create")
    expect(nb.timeline).to_be_hidden()
    nb.page.wait_for_function("window.ended", timeout=20_000)
    nb.page.evaluate("window.jupyterapp.shell.activateById(window.panel.id)")
    expect(nb.timeline).to_be_visible()
    wait_for(nb, row, 0)


@lab
def test_a_collapsed_output_is_found_as_it_was_left(notebook):
    nb = notebook(OPEN, MANY, END)
    begun(nb)
    scroll(nb, 100_000)
    nb.command("notebook:hide-all-cell-outputs")
    expect(nb.timeline).to_be_hidden()
    nb.run_cell(2)
    nb.command("notebook:show-all-cell-outputs")
    expect(nb.timeline).to_be_visible()
    wait_for(nb, "Last")


@lab
def test_a_notebook_that_is_moved_beside_another_keeps_its_place(notebook):
    nb = notebook(OPEN, MANY, size=(1400, 900))
    begun(nb)
    row = scroll(nb, 2000)
    nb.page.evaluate("window.panel = window.jupyterapp.shell.currentWidget")
    nb.command("launcher:create")
    nb.page.evaluate("window.jupyterapp.shell.add(window.panel, 'main', { mode: 'split-right' })")
    wait_for(nb, row, 0)
    nb.page.evaluate("window.jupyterapp.shell.activateById(window.panel.id)")


@lab
def test_a_cell_that_is_moved_keeps_its_place(notebook):
    nb = notebook(OPEN, MANY, "'below'")
    begun(nb)
    row = scroll(nb, 2000)
    nb.page.evaluate(f"{PANEL}.content.activeCellIndex = 0")
    nb.command("notebook:move-cell-down")
    wait_for(nb, row, 0)


@lab
def test_the_answer_to_redo_stays_in_a_notebook(notebook):
    nb = notebook(OPEN, MANY, "pass")
    begun(nb)
    scroll(nb, 0)
    head = nb.timeline.locator(".sb-head", has=nb.page.get_by_text("Step 3", exact=True))
    head.click()
    nb.timeline.get_by_role("button", name="Redo").click()
    answer = nb.timeline.locator(".sb-answer", has_text="'Step 3' will be executed again")
    expect(answer).to_be_visible()
    expect(nb.timeline.locator('.sb-row[data-status="pending"]')).to_have_count(1)
    nb.run_cell(2)
    nb.page.wait_for_timeout(1000)
    expect(answer).to_be_visible()
    expect(nb.timeline.get_by_role("status").filter(has_text="'Step 3' will be")).to_have_count(1)
    nb.keep("redo-answer")
