"""Cells that are steps, in JupyterLab and Notebook 7, as a person uses them."""

from __future__ import annotations

import json
import secrets

import pytest
from playwright.sync_api import expect

SUM = "print('sum', int(df.to_numpy().sum()), weights)"
LOOK = "print(run.steps().set_index('name')[['status', 'attempt', 'cell_id', 'error']].to_json())"


@pytest.fixture
def loop():
    """The name of a loop of this test's own; also that of the file in which bodies sign."""
    return f"loop-{secrets.token_hex(4)}"


def opened(loop):
    """The cell that opens the run."""
    return f"%load_ext stepbook\n%stepbook run {loop}"


def signed(loop, word):
    """A line that tells that a body has executed."""
    return f"with open({loop!r}, 'a') as _log: _log.write('{word} ')"


def loads_and_plots(loop):
    """A notebook of both kinds of cells, with prints, a table, a plot and a change in place."""
    return (
        opened(loop),
        "%matplotlib inline\nimport asyncio\nimport matplotlib.pyplot as plt\nimport pandas as pd",
        (
            f"%%step Load\n{signed(loop, 'load')}\nprint('loading')\n"
            "df = pd.DataFrame({'a': [1, 2, 3]})\ndf"
        ),
        (
            f"#| step: Double\n{signed(loop, 'double')}\ndf['b'] = df['a'] * 2\n"
            "weights = await asyncio.sleep(0.01, [0.5])\nprint(len(df), 'rows')"
        ),
        f"%%step Plot\n{signed(loop, 'plot')}\nplt.plot(df['a'], df['b'])\nplt.title('doubled');",
        SUM,
        LOOK,
    )


def executed(nb, loop):
    """The bodies that have executed, in order."""
    return (nb.server.root / loop).read_text().split()


def outputs(nb, cell=None):
    """What the saved notebook holds of its cells, or of one, without counts."""
    found = [
        [{k: v for k, v in o.items() if k != "execution_count"} for o in saved["outputs"]]
        for saved in nb.save()["cells"]
    ]
    return found if cell is None else found[cell]


def steps(nb):
    """The run's steps, as the notebook's last cell, `LOOK`, says: field by field, by name."""
    last = len(nb.save()["cells"]) - 1
    nb.run_cell(last)
    (said,) = outputs(nb, last)
    return json.loads("".join(said["text"]))


def edit(nb, index, source):
    """Change the text of a cell."""
    nb.page.evaluate(
        "([index, source]) => window.jupyterapp.shell.currentWidget.content.widgets[index]"
        ".model.sharedModel.setSource(source)",
        [index, source],
    )


def restart_and_run_all(nb):
    """As a person does: by the menu's command, and by saying yes."""
    nb.start("notebook:restart-run-all")
    nb.page.locator(".jp-Dialog .jp-mod-accept").click()
    nb.page.wait_for_function("window.ended")


def wait_for_plot(nb):
    """Wait until the one plot of the notebook is drawn."""
    plot = nb.page.locator(".jp-OutputArea-output img")
    expect(plot).to_have_count(1)
    expect(plot).to_have_js_property("complete", value=True)
    assert plot.evaluate("image => image.naturalWidth") > 100


def test_a_restarted_kernel_replays_cells_outputs_and_plots(notebook, loop):
    nb = notebook(*loads_and_plots(loop))
    nb.run_all()
    before = outputs(nb)
    assert "sum 18 [0.5]" in str(before[5])
    wait_for_plot(nb)
    restart_and_run_all(nb)
    after = outputs(nb)
    assert executed(nb, loop) == ["load", "double", "plot"], "nothing executes again"
    assert after[1:] == before[1:]
    assert "3 steps will replay" in str(after[0])
    wait_for_plot(nb)


def test_the_host_says_which_cell_it_is(notebook, loop):
    nb = notebook(*loads_and_plots(loop))
    nb.run_all()
    # The name of a step's cell in the record is the one that the notebook file has.
    assert steps(nb)["cell_id"] == {
        "Load": "cell-2",
        "Double": "cell-3",
        "Plot": "cell-4",
    }


def test_an_edited_cell_executes_and_says_so_in_one_line(notebook, loop):
    nb = notebook(*loads_and_plots(loop))
    nb.run_all()
    edit(nb, 3, f"#| step: Double\n{signed(loop, 'triple')}\ndf['b'] = df['a'] * 3\nweights = [1]")
    nb.run_all()
    assert executed(nb, loop) == ["load", "double", "plot", "triple", "plot"]
    (said,) = outputs(nb, 3)
    assert "".join(said["text"]) == "stepbook: 'Double': its code changed; it is executed again.\n"


def test_a_failing_cell_stops_run_all_with_one_error(notebook, loop):
    nb = notebook(
        opened(loop),
        f"%%step Fetch\n{signed(loop, 'fetch')}\npage = 1",
        f"%%step Parse\n{signed(loop, 'parse')}\nprint('so far')\nint('one')",
        f"%%step Report\n{signed(loop, 'report')}",
        LOOK,
    )
    nb.run_all()
    _, _, failed, behind, _ = outputs(nb)
    assert [output["output_type"] for output in failed] == ["stream", "error"]
    assert failed[1]["ename"] == "ValueError"
    assert behind == []
    edit(nb, 2, f"%%step Parse\n{signed(loop, 'parse')}\nprint('so far')\nint('1')")
    restart_and_run_all(nb)
    assert executed(nb, loop) == ["fetch", "parse", "parse", "report"]
    found = steps(nb)
    assert found["attempt"] == {"Fetch": 1, "Parse": 2, "Report": 1}
    assert set(found["status"].values()) == {"succeeded"}


@pytest.mark.parametrize(
    "waits", ["import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)"]
)
def test_the_stop_button_is_recorded(notebook, loop, waits):
    nb = notebook(opened(loop), f"%%step Train\nprint('training')\n{waits}", LOOK)
    nb.start("notebook:run-all-cells")
    expect(nb.page.locator(".jp-OutputArea-output").filter(has_text="training")).to_be_visible()
    nb.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    nb.page.wait_for_function("window.ended")
    _, stopped, behind = outputs(nb)
    assert [output["output_type"] for output in stopped] == ["stream", "error"]
    assert behind == []
    found = steps(nb)
    assert found["status"] == {"Train": "failed"}
    assert found["error"]["Train"]["type"].rpartition(".")[2] == stopped[1]["ename"]
    assert stopped[1]["ename"] in ("KeyboardInterrupt", "CancelledError")


def test_tab_offers_the_names_of_steps(notebook, loop):
    nb = notebook(opened(loop), "%%step Load profile\n1", "%%step Load scans\n2", "%%step Lo")
    for index in range(3):
        nb.run_cell(index)
    nb.page.locator(".jp-CodeCell .cm-content").nth(3).click()
    nb.page.keyboard.press("End")
    nb.page.keyboard.press("Tab")
    offered = nb.page.locator(".jp-Completer-item")
    expect(offered.filter(has_text="Load profile")).to_be_visible()
    expect(offered.filter(has_text="Load scans")).to_be_visible()
    offered.filter(has_text="Load scans").click()
    expect(nb.page.locator(".jp-CodeCell .cm-content").nth(3)).to_have_text("%%step Load scans")
