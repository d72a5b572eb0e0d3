"""The timeline in JupyterLab and Notebook 7, as a reader sees and uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

OPEN = """import stepbook, time
run = stepbook.run("health-review", input={"patient_id": "p-17"}, new=True)
run"""
STEPS = """run.do("Load profile", lambda: {"id": "p-17", "region": "EU", "plan": "gold"})
run.do("Long list", lambda: list(range(300)))
run.do("Nothing", lambda: None)
def fails():
    raise ValueError("image is 640 px wide")
run.do("Fails", fails)"""
SLOW = "for i in range(8):\n    run.do(f'Slow {i}', lambda: time.sleep(0.4))"
AXE = "node_modules/axe-core/axe.min.js"


def row(notebook, name):
    """Return the head of a row."""
    return notebook.timeline.locator(".sb-head", has=notebook.page.get_by_text(name, exact=True))


def wait_for_steps(notebook, count):
    """Wait until the timeline has so many steps."""
    notebook.page.wait_for_function(
        "n => Number(document.querySelector('.sb-root')?.dataset.count) >= n", arg=count
    )


def test_a_run_displays_as_its_timeline(notebook):
    nb = notebook(OPEN, STEPS)
    nb.run_all()
    wait_for_steps(nb, 4)
    assert nb.rows() == ["Load profile", "Long list", "Nothing", "Fails"]
    expect(nb.timeline).to_contain_text("3 of 4 steps, 1 failed")
    expect(nb.timeline.locator(".sb-lines")).to_contain_text('region: "EU"')
    expect(row(nb, "Fails")).to_have_attribute("aria-expanded", "true")
    expect(nb.timeline.locator(".sb-message")).to_contain_text("ValueError: image is 640 px wide")
    expect(row(nb, "Load profile")).to_have_accessible_name(
        # The name, the status as a word, the duration.
        re.compile(r"Load profile\s*, succeeded")
    )


def test_rows_appear_while_the_cell_runs(notebook):
    nb = notebook(OPEN, SLOW)
    nb.run_cell(0)
    nb.page.wait_for_selector(".sb-root")
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    nb.start("notebook:run-cell")
    wait_for_steps(nb, 4)
    assert not nb.page.evaluate("window.ended")
    assert nb.timeline.locator('[data-status="running"]').count() >= 1


def test_rows_appear_from_a_thread_of_a_cell_that_has_ended(notebook):
    nb = notebook(
        OPEN,
        "import threading\n"
        "def work():\n"
        "    for i in range(4):\n        time.sleep(0.3)\n        run.do(f'T{i}', lambda: i)\n"
        "threading.Thread(target=work).start()",
    )
    nb.run_all()
    wait_for_steps(nb, 4)
    nb.page.wait_for_function(
        "document.querySelectorAll('[data-status=succeeded].sb-row').length == 4"
    )


def test_a_run_of_another_process_is_followed(notebook, server):
    script = (
        "import stepbook, time, sys\nrun = stepbook.run('other', key=sys.argv[1])\n"
        "print(run.id, flush=True)\n"
        "for i in range(6): run.do(f'Remote {i}', lambda: time.sleep(0.5))\nrun.finish()"
    )
    book = str(server.root / "stepbook.duckdb")
    with subprocess.Popen(
        [sys.executable, "-c", script, server.app],
        env={**os.environ, "STEPBOOK_BOOK": book},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as other:
        run_id = other.stdout.readline().strip()
        nb = notebook(f"import stepbook\nstepbook.connect().get('{run_id}')")
        nb.run_all()
        nb.page.wait_for_function(
            "document.querySelector('.sb-header')?.dataset.status == 'succeeded'"
        )
        assert nb.rows() == [f"Remote {i}" for i in range(6)]


def test_rows_fold_and_values_open_as_trees(notebook):
    nb = notebook(OPEN, STEPS)
    nb.run_all()
    wait_for_steps(nb, 4)
    row(nb, "Long list").click()
    tree = nb.timeline.get_by_role("tree", name="Return")
    expect(tree.get_by_role("treeitem")).to_have_count(51)
    tree.get_by_text("show 50 more").click()
    expect(tree.get_by_role("treeitem")).to_have_count(101)
    row(nb, "Long list").click()
    expect(tree).to_have_count(0)
    nb.timeline.get_by_role("button", name="Expand all").click()
    expect(nb.timeline.locator('.sb-head[aria-expanded="true"]')).to_have_count(4)
    nb.timeline.get_by_role("button", name="Collapse all").click()
    expect(nb.timeline.locator('.sb-head[aria-expanded="true"]')).to_have_count(0)


def test_search_and_filter(notebook):
    nb = notebook(OPEN, STEPS)
    nb.run_all()
    wait_for_steps(nb, 4)
    search = nb.timeline.get_by_role("searchbox")
    search.fill("640 PX")
    expect(nb.timeline.locator(".sb-name")).to_have_text(["Fails"])
    search.fill("nothing there")
    expect(nb.timeline).to_contain_text("No step matches.")
    search.fill("")
    nb.timeline.get_by_role("button", name="failed 1", exact=True).click()
    expect(nb.timeline.locator(".sb-name")).to_have_text(["Fails"])
    nb.timeline.get_by_role("button", name="failed 1", exact=True).click()
    expect(nb.timeline.locator(".sb-name")).to_have_count(4)


def test_keys_stay_in_the_timeline(notebook):
    nb = notebook(OPEN, STEPS)
    nb.run_all()
    wait_for_steps(nb, 4)
    cells = nb.page.locator(".jp-CodeCell").count()
    keyboard = nb.page.keyboard
    row(nb, "Load profile").focus()
    for key in ("ArrowDown", "Enter", "x", "d", "d", "a", "b", "j", "b"):
        keyboard.press(key)
    expect(row(nb, "Long list")).to_be_focused()
    expect(row(nb, "Long list")).to_have_attribute("aria-expanded", "true")
    keyboard.press("ArrowLeft")
    expect(row(nb, "Long list")).to_have_attribute("aria-expanded", "false")
    keyboard.press("End")
    expect(row(nb, "Fails")).to_be_focused()
    keyboard.press("Home")
    keyboard.press("n")
    expect(row(nb, "Fails")).to_be_focused()
    keyboard.press("/")
    expect(nb.timeline.get_by_role("searchbox")).to_be_focused()
    keyboard.type("xdd")
    expect(nb.timeline.get_by_role("searchbox")).to_have_value("xdd")
    keyboard.press("Escape")
    expect(nb.timeline.get_by_role("searchbox")).to_have_value("")
    assert nb.page.locator(".jp-CodeCell").count() == cells


@pytest.mark.parametrize(
    "theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"]
)
def test_axe_finds_nothing(notebook, theme, request):
    nb = notebook(OPEN, STEPS, theme=theme)
    nb.run_all()
    wait_for_steps(nb, 4)
    row(nb, "Load profile").click()
    nb.timeline.locator(".sb-io").first.click()
    axe = request.config.rootpath / AXE
    if not axe.exists():
        pytest.skip("needs axe-core: npm ci")
    nb.page.evaluate(axe.read_text(encoding="utf-8"))
    found = nb.page.evaluate(
        """axe.run('.sb-root').then(result => result.violations.map(
            fault => [fault.id, fault.nodes[0].html, fault.nodes[0].failureSummary]))"""
    )
    assert found == []


def test_a_page_loaded_again_in_the_middle_of_a_run(notebook):
    nb = notebook(OPEN, SLOW)
    nb.run_cell(0)
    nb.save()
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    nb.start("notebook:run-cell")
    wait_for_steps(nb, 2)
    # Not `reload`: that waits for the kernel to be idle.
    nb.page.reload()
    wait_for_steps(nb, 8)
    expect(nb.timeline).to_contain_text("8 steps", timeout=10_000)


def test_two_views_of_one_run(notebook):
    nb = notebook(OPEN, "run", STEPS)
    nb.run_all()
    expect(nb.timeline).to_have_count(2)
    nb.page.wait_for_function(
        "[...document.querySelectorAll('.sb-root')].every(root => root.dataset.count == 4)"
    )


def test_a_saved_notebook_without_its_kernel(notebook):
    nb = notebook(OPEN, STEPS)
    nb.run_all()
    wait_for_steps(nb, 4)
    outputs = [output for cell in nb.save()["cells"] for output in cell["outputs"]]
    shown = next(output["data"] for output in outputs if "data" in output)
    assert set(shown) == {"text/html", "text/plain"}
    assert "image is 640 px wide" in "".join(shown["text/html"])
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()")
    nb.reload()
    output = nb.page.locator(".jp-OutputArea-output").filter(has_text="health-review").last
    expect(output).to_contain_text("Load profile")
    expect(output.locator("details").first).to_be_visible()
    expect(nb.page.get_by_text("model not found")).to_have_count(0)
    expect(nb.timeline).to_have_count(0)


def test_redo_from_a_row(notebook):
    nb = notebook(OPEN, "run.do('Load profile', lambda: 1)")
    nb.run_all()
    wait_for_steps(nb, 1)
    row(nb, "Load profile").click()
    nb.timeline.get_by_role("button", name="Redo").click()
    expect(nb.timeline.locator('.sb-row[data-status="pending"]')).to_have_count(1)
    nb.run_cell(1)
    expect(nb.timeline.locator('.sb-row[data-status="succeeded"]')).to_have_count(1)
    expect(nb.timeline).to_contain_text("attempt 2")


def test_a_scan_is_delivered_while_its_cell_waits(notebook):
    nb = notebook(OPEN, "scan = run.wait_for_scan(timeout='1 minute')")
    nb.run_cell(0)
    nb.page.wait_for_selector(".sb-root")
    nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    nb.start("notebook:run-cell")
    expect(row(nb, "Wait for scan")).to_contain_text("left")
    row(nb, "Wait for scan").click()
    field = nb.timeline.get_by_role("textbox", name="Payload")
    field.fill("{not json")
    nb.timeline.get_by_role("button", name="Deliver").click()
    expect(nb.timeline).to_contain_text("This is no JSON.")
    field.fill('{"heart_rate": 61}')
    nb.timeline.get_by_role("button", name="Deliver").click()
    nb.page.wait_for_function("window.ended", timeout=15_000)
    expect(nb.timeline).to_contain_text("heart_rate: 61")


def test_a_book_displays_as_the_list_of_its_runs(notebook):
    nb = notebook(
        "import stepbook\nbook = stepbook.connect()\n"
        "for n in range(3):\n"
        "    with book.run('listed', input=n, new=True) as r: r.do(f'Only {n}', lambda: n)",
        "book",
        "run = book.run('later', new=True)\nrun.do('A', lambda: 1)",
    )
    nb.run_cell(0)
    nb.run_cell(1)
    runs = nb.page.locator(".sb-runs")
    runs.get_by_role("searchbox").fill("listed")
    runs.get_by_role("button", name="listed").first.click()
    expect(runs.locator(".sb-opened .sb-name")).to_have_text(["Only 2"])
    runs.get_by_role("button", name="listed").first.click()
    expect(runs.locator(".sb-opened")).to_have_count(0)
    # The list is brought up to date when a cell has ended.
    nb.run_cell(2)
    runs.get_by_role("searchbox").fill("later")
    expect(runs.get_by_role("button", name="later").first).to_be_visible()


def test_hostile_data_runs_nothing(notebook):
    bad = "</script><img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    nb = notebook(
        f"import stepbook\nbad = {bad!r}\nrun = stepbook.run(bad, input=bad, new=True)\nrun",
        "run.do(bad, lambda: {bad: bad})\n"
        "def fails(): raise ValueError(bad)\n"
        "run.do(bad + '2', fails)",
    )
    nb.run_all()
    wait_for_steps(nb, 2)
    nb.timeline.get_by_role("button", name="Expand all").click()
    expect(nb.timeline.locator(".sb-name").first).to_have_text(bad)
    assert nb.page.evaluate("window.hacked") is None
    nb.save()
    nb.reload()
    assert nb.page.evaluate("window.hacked") is None


def test_ten_thousand_steps(notebook):
    nb = notebook(
        "import stepbook\nrun = stepbook.run('many', new=True)\n"
        "for i in range(10_000): run.do(f'Score p-{i}', lambda: {'score': i})",
        "run",
    )
    nb.run_cell(0)
    nb.page.evaluate(
        """() => {
            window.begun = performance.now();
            new MutationObserver((_, observer) => {
                if (document.querySelectorAll(".sb-row").length <= 5) return;
                window.drawn = performance.now();
                observer.disconnect();
            }).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    nb.run_cell(1)
    wait_for_steps(nb, 10_000)
    nb.page.wait_for_function("window.drawn")
    print("first rows after ms:", nb.page.evaluate("window.drawn - window.begun"))
    assert nb.timeline.locator(".sb-row").count() < 100
    nb.timeline.get_by_role("searchbox").fill("p-9999")
    expect(nb.timeline.locator(".sb-name")).to_have_text(["Score p-9999"])
    assert len("".join(nb.save()["cells"][1]["outputs"][0]["data"]["text/html"])) < 200_000
