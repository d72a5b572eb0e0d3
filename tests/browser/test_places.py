"""A reader keeps the place in a timeline, the focus, a selection and what is unfolded.

Whatever happens to the view: an output is drawn anew when a cell ends, a tab is hidden, a panel is
moved, rows change.
"""

from __future__ import annotations

import json

import pytest
from live import BLANK, error, step
from playwright.sync_api import expect

from stepbook.show.html import RunLine
from stepbook.timeline import wire

pytestmark = pytest.mark.by_turns(0.5)

STEPS = [step(n) for n in range(1, 121)]

#: What notebooks do to the view: and what they do then, after a while, to bring it back.
MOVES = {
    "drawn anew": ("window.redraw()", ""),
    "drawn anew later": (
        "document.getElementById('output').innerHTML = ''",
        "window.redraw()",
    ),
    "moved to another panel": (
        "document.getElementById('other').append(document.getElementById('cell'))",
        "",
    ),
    "taken out and put back": (
        "window.cell = document.getElementById('cell'); window.cell.remove()",
        "document.getElementById('panel').append(window.cell)",
    ),
    "hidden and shown": (
        "document.getElementById('panel').style.display = 'none'",
        "document.getElementById('panel').style.display = ''",
    ),
}
moves = pytest.mark.parametrize("move", MOVES)
#: Those after which the focus is still the reader's: they have done nothing in between.
at_once = pytest.mark.parametrize("move", ["drawn anew", "moved to another panel"])


def away(run, move):
    """Do what takes the view away."""
    run.page.evaluate(f"() => {{ {MOVES[move][0]} }}")
    run.frames()


def back(run, move):
    """Bring the view back."""
    run.page.evaluate(f"() => {{ {MOVES[move][1]} }}")
    run.frames()
    run.settled()


# -- rows in sight ---------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [0, 1500, 100_000])
def test_rows_stay_in_sight_when_a_long_run_ends(live, top):
    run = live(STEPS)
    run.wheel_to(top)
    place = run.place()
    run.end()
    run.settled()
    assert run.blank() == 0
    assert run.place() == place


def test_a_reader_who_turns_back_at_once_after_a_jump_is_not_taken_there_again(live):
    run = live(STEPS)
    run.page.evaluate(
        """() => {
            window.later = [];
            window.setTimeout = (call) => window.later.push(call);
        }"""
    )
    run.box.evaluate("box => { box.scrollTop = 100_000; }")
    run.frames()
    # What was put off comes before the event that tells of the reader's second move.
    run.box.evaluate("box => { box.scrollTop = 0; window.later.forEach((call) => call()); }")
    run.settled()
    assert run.in_sight()[0] == "Step 1"
    assert run.blank() == 0


def test_who_follows_a_run_sees_what_it_failed_at(live):
    run = live(STEPS)
    run.wheel_to(100_000)
    run.end(step(121, "Train", status="failed", error=error()), status="failed")
    run.settled()
    assert "Train" in run.in_sight()
    expect(run.row("Train").locator(".sb-message")).to_be_in_viewport()
    assert run.blank() == 0


def test_who_follows_a_run_sees_its_last_row(live):
    run = live(STEPS)
    run.wheel_to(100_000)
    run.end(step(121, "Send"))
    run.settled()
    assert run.in_sight()[-1] == "Send"


def test_who_reads_elsewhere_is_left_there_when_the_run_fails(live):
    run = live(STEPS)
    run.wheel_to(1000)
    place = run.place()
    run.end(step(121, "Train", status="failed", error=error()), status="failed")
    run.settled()
    assert run.place() == place


def test_a_run_that_has_failed_opens_at_its_failure(live):
    rows = [*STEPS, step(121, "Train", status="failed", error=error())]
    run = live(rows, status="failed")
    run.settled()
    assert "Train" in run.in_sight()
    expect(run.row("Train").locator(".sb-message")).to_be_in_viewport()


def test_a_run_that_went_on_after_a_failure_opens_at_its_top(live):
    rows = [*STEPS, step(121, "Tried", status="failed", error=error(), handled=True)]
    assert live(rows, status="succeeded").in_sight()[0] == "Step 1"


def test_a_run_that_is_opened_again_keeps_the_place(live):
    run = live(STEPS)
    run.wheel_to(1500)
    place = run.place()
    run.end(step(121, "Train", status="failed", error=error()), status="failed")
    run.put(step(121, "Train", status="running"), status="running", completed_at=None)
    run.page.evaluate("window.redraw()")
    run.settled()
    assert run.place() == place


@moves
@pytest.mark.parametrize("top", [1500, 100_000])
def test_rows_stay_in_sight_however_the_view_is_moved(live, move, top):
    run = live(STEPS)
    run.wheel_to(top)
    place = run.place()
    away(run, move)
    back(run, move)
    assert run.place() == place
    assert run.blank() == 0


@moves
def test_rows_that_come_while_the_view_is_away_are_there_when_it_is_back(live, move):
    run = live(STEPS)
    run.wheel_to(1500)
    place = run.place()
    away(run, move)
    run.put(*(step(n) for n in range(121, 160)))
    run.put(step(160, value=json.dumps({"a": 1, "b": 2, "c": 3})))
    back(run, move)
    assert run.place() == place
    assert run.blank() == 0
    run.wheel_to(100_000)
    assert run.in_sight()[-1] == "Step 160"
    assert run.blank() == 0


@moves
def test_who_follows_is_taken_along_while_the_view_is_away(live, move):
    run = live(STEPS)
    run.wheel_to(100_000)
    away(run, move)
    run.put(*(step(n, value=json.dumps({"a": 1, "b": 2})) for n in range(121, 160)))
    back(run, move)
    assert run.in_sight()[-1] == "Step 159"
    assert run.blank() == 0


def test_another_width_keeps_the_row_at_the_top(live):
    words = " ".join(f"alpha{n}=0.{n}" for n in range(30))
    run = live([step(n, f"Step {n} {words}") for n in range(1, 121)])
    run.wheel_to(2000)
    name, _ = run.place()
    for width in (420, 320, 1200, 900):
        run.page.set_viewport_size({"width": width, "height": 700})
        run.settled()
        assert run.place()[0] == name
        assert run.blank() == 0


def test_another_height_leaves_no_gap(live):
    run = live(STEPS)
    run.wheel_to(100_000)
    for height in (300, 900):
        run.page.set_viewport_size({"width": 900, "height": height})
        run.settled()
        assert run.blank() == 0
    assert run.in_sight()[-1] == "Step 120"


def test_zooming_the_page_leaves_no_gap(live):
    run = live([step(n, value=json.dumps({"a": n, "b": 2})) for n in range(1, 121)])
    run.wheel_to(3000)
    name, _ = run.place()
    for zoom in ("150%", "67%", "100%"):
        run.page.evaluate("zoom => { document.documentElement.style.zoom = zoom; }", zoom)
        run.settled()
        assert run.place()[0] == name
        assert run.blank() == 0


def test_printing_keeps_the_place(live):
    run = live(STEPS)
    run.wheel_to(1500)
    place = run.place()
    run.page.pdf()
    run.settled()
    assert run.place() == place
    assert run.blank() == 0


def test_a_search_that_is_cleared_leads_back_to_the_place(live):
    run = live(STEPS)
    run.wheel_to(1500)
    place = run.place()
    search = run.root.get_by_role("searchbox")
    search.fill("Step 7")
    expect(run.root.locator(".sb-found")).to_contain_text("shown")
    search.fill("nothing has this name")
    expect(run.root).to_contain_text("No step matches.")
    search.fill("")
    expect(run.head(place[0])).to_be_visible()
    run.settled()
    assert run.place() == place
    assert run.blank() == 0


def test_a_row_that_grows_above_moves_nothing_in_sight(live):
    run = live([step(n, status="running" if n == 3 else "succeeded") for n in range(1, 121)])
    run.wheel_to(1500)
    place = run.place()
    run.put(step(3, value=json.dumps({"a": 1, "b": 2, "c": 3, "d": 4})))
    run.put(step(2, status="failed", error=error()))
    run.settled()
    assert run.place() == place


def test_while_a_long_run_is_scrolled_no_frame_is_blank(live):
    run = live([step(n, value=json.dumps({"n": n})) for n in range(1, 3001)])
    blanks = run.page.evaluate(
        f"""async () => {{
            const box = document.querySelector(".sb-scroll");
            const blanks = [];
            const steps = [[20, 400], [8, 5000], [30, -333]];
            for (const by of steps.flatMap(([n, by]) => Array(n).fill(by))) {{
                box.scrollTop += by;
                await new Promise(requestAnimationFrame);
                // Behind the frame's own drawing.
                await new Promise((done) => setTimeout(done));
                blanks.push(({BLANK})());
            }}
            return blanks.filter((blank) => blank !== 0);
        }}"""
    )
    assert blanks == []
    assert run.root.locator(".sb-row").count() < 100


# -- the focus -------------------------------------------------------------------------------------


@at_once
def test_the_focus_stays_on_its_row(live, move):
    run = live(STEPS)
    run.wheel_to(1500)
    run.head("Step 55").focus()
    away(run, move)
    back(run, move)
    assert run.focus() == "Step 55"
    run.page.keyboard.press("ArrowDown")
    assert run.focus() == "Step 56"


@at_once
def test_the_focus_stays_in_the_search(live, move):
    run = live(STEPS)
    run.root.get_by_role("searchbox").press_sequentially("Step 1")
    away(run, move)
    back(run, move)
    run.page.keyboard.type("19")
    expect(run.root.locator(".sb-name")).to_have_text(["Step 119"])


def test_the_focus_is_not_taken_from_a_reader_who_has_gone_elsewhere(live):
    run = live(STEPS)
    run.head("Step 5").focus()
    run.page.locator("#elsewhere").focus()
    run.end()
    assert run.page.evaluate("document.activeElement.id") == "elsewhere"
    run.head("Step 5").focus()
    run.page.locator("#output").evaluate("output => { output.innerHTML = ''; }")
    run.page.locator("#elsewhere").focus()
    run.page.evaluate("window.redraw()")
    run.frames()
    assert run.page.evaluate("document.activeElement.id") == "elsewhere"


def test_keys_that_go_far_keep_the_focus(live):
    rows = [step(n, status="failed" if n in (40, 80) else "succeeded") for n in range(1, 121)]
    run = live(rows)
    run.head("Step 1").focus()
    for key, name in (
        ("End", "Step 120"),
        ("Home", "Step 1"),
        ("n", "Step 40"),
        ("n", "Step 80"),
        ("N", "Step 40"),
        ("End", "Step 120"),
        ("n", "Step 40"),
    ):
        run.page.keyboard.press(key)
        run.settled()
        assert run.focus() == name, key
        assert name in run.in_sight(), key
    before = run.in_sight()
    run.page.keyboard.press("PageDown")
    run.settled()
    assert run.focus() is not None
    assert run.focus() not in before[:-2]


def test_the_focus_stays_on_a_row_that_is_scrolled_away(live):
    run = live(STEPS)
    run.head("Step 2").focus()
    run.wheel_to(100_000)
    assert run.focus() == "Step 2"
    run.page.keyboard.press("ArrowDown")
    run.settled()
    assert run.focus() == "Step 3"
    assert "Step 3" in run.in_sight()


def test_next_failed_goes_from_failure_to_failure_by_mouse(live):
    failing = (10, 60, 110)
    run = live([step(n, status="failed" if n in failing else "succeeded") for n in range(1, 121)])
    button = run.root.get_by_role("button", name="Next failed")
    for n in (*failing, *failing):
        button.click()
        run.settled()
        assert run.focus() == f"Step {n}"
        assert f"Step {n}" in run.in_sight()


def test_next_failed_goes_on_from_the_row_that_was_clicked(live):
    failing = (10, 60, 110)
    run = live([step(n, status="failed" if n in failing else "succeeded") for n in range(1, 121)])
    run.wheel_to(1900)
    run.head("Step 62").click()
    run.root.get_by_role("button", name="Next failed").click()
    assert run.focus() == "Step 110"


def test_the_focus_goes_to_what_is_near_when_its_button_goes(live):
    run = live([step(1, "Load", value='{"a":1}'), step(2)])
    run.open("Load").get_by_role("button", name="Redo").focus()
    run.put(step(1, "Load", status="running"))
    assert run.focus() == "Load: Previous run"
    run.row("Load").get_by_role("button", name="Previous run").focus()
    run.head("Load").evaluate("head => head.click()")
    assert run.focus() == "Load"


def test_a_filter_keeps_the_focus_while_counts_change(live):
    run = live([step(1, status="failed"), step(2), step(3, status="running")])
    run.root.get_by_role("button", name="running 1", exact=True).focus()
    run.put(step(4, status="pending"))
    assert run.focus() == "running 1"
    run.put(step(3), step(4))
    assert run.focus() == "running 0"
    run.page.locator("#elsewhere").focus()
    run.put(step(5))
    assert run.root.get_by_role("button", name="running 0", exact=True).count() == 0


def test_next_failed_keeps_the_focus_when_nothing_is_failed_any_more(live):
    run = live([step(1, status="failed"), step(2)])
    run.root.get_by_role("button", name="Next failed").focus()
    run.put(step(1, status="running"))
    assert run.focus() == "Next failed"


def test_items_of_a_map_change_places_around_the_focus(live):
    parent = step(1, "Score", kind="map", status="running")
    items = [step(n, f"Score [{n}]", parent="Score", item=str(n)) for n in range(2, 12)]
    run = live([parent, *items])
    run.head("Score").click()
    run.head("Score [9]").focus()
    run.put(step(9, "Score [9]", parent="Score", item="9", status="failed"))
    assert run.focus() == "Score [9]"
    run.put(step(5, "Score [5]", parent="Score", item="5", status="failed"))
    assert run.focus() == "Score [9]"
    names = run.root.locator(".sb-name").all_text_contents()
    assert names[1:3] == ["Score [5]", "Score [9]"]


def test_copying_where_the_clipboard_is_closed_keeps_the_focus(live):
    run = live([step(1, "Load", value='{"a":1}')])
    run.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('closed')); }"
    )
    copy = run.open("Load").get_by_role("button", name="Copy JSON")
    copy.click()
    expect(run.row("Load").get_by_role("button", name="Copied")).to_be_focused()
    assert run.page.evaluate("navigator.clipboard.readText()").split() == ["{", '"a":', "1", "}"]


def test_the_id_of_a_run_is_there_again_after_it_was_copied(live):
    run = live([step(1)], status="succeeded")
    copy = run.root.get_by_title("Copy the run's id")
    copy.click()
    expect(copy).to_have_text("Copied")
    expect(copy).to_have_text("run_11fe11fe11fe")


# -- selections ------------------------------------------------------------------------------------


def select(run, name):
    """Select the words of a row's return; return what is selected."""
    run.row(name).locator(".sb-lines").evaluate(
        "box => document.getSelection().selectAllChildren(box)"
    )
    return selected(run)


def selected(run):
    """Return the text that is selected."""
    return run.page.evaluate("document.getSelection().toString()")


@at_once
def test_a_selection_of_text_stays(live, move):
    run = live([step(n, value=json.dumps({"a": n, "b": 2})) for n in range(1, 121)])
    text = select(run, "Step 3")
    assert "a: 3" in text
    away(run, move)
    back(run, move)
    assert selected(run) == text


def test_a_selection_stays_while_rows_come_and_its_row_is_scrolled_away(live):
    run = live([step(n, value=json.dumps({"a": n, "b": 2})) for n in range(1, 121)])
    text = select(run, "Step 3")
    run.put(step(121), step(3, value=json.dumps({"a": 3, "b": 2}), stale=True))
    run.wheel_to(100_000)
    run.wheel_to(0)
    assert selected(run) == text


# -- what is unfolded ------------------------------------------------------------------------------


NESTED = json.dumps({"outer": {"inner": list(range(100))}, "more": 1})


def unfolded(run, name="Load"):
    """Unfold a branch of a row's return, and return it."""
    branch = run.open(name).get_by_role("treeitem", name="outer")
    branch.click()
    expect(branch).to_have_attribute("aria-expanded", "true")
    return branch


def test_a_fold_stays_open_while_its_row_changes_and_the_run_ends(live):
    run = live([step(1, "Load", value=NESTED), step(2)])
    branch = unfolded(run)
    branch.focus()
    run.put(step(1, "Load", value=NESTED, stale=True))
    expect(branch).to_have_attribute("aria-expanded", "true")
    run.send_all()
    expect(branch).to_have_attribute("aria-expanded", "true")
    run.end()
    expect(branch).to_have_attribute("aria-expanded", "true")
    assert run.focus().startswith("Load: outer")


def test_a_fold_stays_open_when_its_row_is_closed_and_opened(live):
    run = live([step(1, "Load", value=NESTED)])
    unfolded(run)
    run.head("Load").click()
    run.head("Load").click()
    branch = run.row("Load").get_by_role("treeitem", name="outer")
    expect(branch).to_have_attribute("aria-expanded", "true")


def test_a_fold_stays_open_in_a_long_return_that_was_fetched(live):
    long = json.dumps({"outer": {"inner": list(range(3000))}, "more": 1})
    run = live([step(1, "Load", value=long), step(2)])
    run.page.evaluate("text => { window.answers.body = text; }", long)
    unfolded(run)
    run.put(step(1, "Load", value=long, stale=True))
    run.send_all()
    run.end()
    branch = run.row("Load").get_by_role("treeitem", name="outer")
    expect(branch).to_have_attribute("aria-expanded", "true")
    asked = run.page.evaluate("window.sent.filter(message => message.type === 'body').length")
    assert asked == 1


def test_the_input_of_a_run_stays_open_when_its_output_comes(live):
    run = live([step(1)])
    box = run.root.get_by_role("button", name="Input")
    box.click()
    box.focus()
    run.end()
    run.put(status="succeeded", output='{"sent":true}')
    expect(run.root.get_by_role("button", name="Output")).to_be_visible()
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(box).to_be_focused()


def test_a_stack_stays_scrolled(live):
    run = live([step(1, "Train", status="failed", error=error(lines=60)), *STEPS[1:]])
    stack = run.row("Train").locator(".sb-stack")
    stack.evaluate("box => { box.scrollTop = 333; }")
    run.frames()
    at = "box => box.scrollTop"
    run.put(step(1, "Train", status="failed", error=error(lines=60), stale=True))
    assert stack.evaluate(at) == 333
    run.wheel_to(100_000)
    assert run.row("Train").count() == 0
    run.wheel_to(0)
    assert stack.evaluate(at) == 333
    for move in MOVES:
        away(run, move)
        back(run, move)
        assert stack.evaluate(at) == 333, move


def test_what_is_typed_for_a_scan_stays(live):
    run = live([*STEPS, step(121, "Wait", kind="scan", status="running")])
    run.wheel_to(100_000)
    field = run.open("Wait").get_by_role("textbox")
    field.fill('{"heart_rate": 6')
    run.put(step(121, "Wait", kind="scan", status="running", progress='{"message":"open"}'))
    run.page.evaluate("window.redraw()")
    run.frames()
    run.page.keyboard.type("1}")
    expect(field).to_have_value('{"heart_rate": 61}')


def test_attempts_stay_open_when_there_is_another(live):
    run = live([step(1, "Load", value="1")._replace(attempt=2)])
    past = {"attempt": 1, "status": "failed", "started_at": None, "seconds": 1, "return": None}
    run.page.evaluate("past => { window.answers.attempts = [past]; }", {**past, "error": error()})
    toggle = run.open("Load").get_by_role("button", name="Attempts")
    toggle.click()
    expect(run.row("Load").locator(".sb-past")).to_have_count(1)
    run.page.evaluate("past => { window.answers.attempts.push(past); }", {**past, "error": error()})
    run.put(step(1, "Load", value="2")._replace(attempt=3))
    expect(run.row("Load").locator(".sb-past")).to_have_count(2)
    expect(toggle).to_have_attribute("aria-expanded", "true")


# -- answers ---------------------------------------------------------------------------------------

SAID = "'Load' will be executed again in the next pass."


@pytest.mark.parametrize("button", ["Redo", "Rewind to here"])
def test_the_answer_to_an_act_stays_and_is_announced(live, button):
    run = live([step(1, "Load", value='{"a":1}'), *STEPS[1:]])
    run.page.evaluate("said => { window.answers = { redo: said, rewind: said }; }", SAID)
    run.open("Load").get_by_role("button", name=button).click()
    # The record changes at once, and the kernel's answer comes a moment later.
    run.put(step(1, "Load", status="pending")._replace(attempt=2))
    answer = run.row("Load").get_by_text(SAID)
    expect(answer).to_be_visible()
    expect(run.root.get_by_role("status").filter(has_text=SAID)).to_have_count(1)
    run.put(step(121))
    run.send_all()
    run.page.evaluate("window.redraw()")
    run.page.wait_for_timeout(500)
    expect(answer).to_be_visible()
    expect(run.root.get_by_role("status").filter(has_text=SAID)).to_have_count(1)
    assert run.focus() == "Load: Attempts"
    run.put(step(1, "Load", status="running")._replace(attempt=2))
    expect(answer).to_be_visible()
    run.head("Load").click()
    expect(answer).to_be_hidden()


def test_a_row_that_was_acted_on_stays_in_sight_under_a_filter(live):
    run = live([step(1, "Load", status="failed", error=error()), *STEPS[1:]])
    run.page.evaluate("said => { window.answers.redo = said; }", SAID)
    run.root.get_by_role("button", name="failed 1", exact=True).click()
    run.row("Load").get_by_role("button", name="Redo").click()
    run.put(step(1, "Load", status="pending")._replace(attempt=2))
    expect(run.row("Load").get_by_text(SAID)).to_be_visible()
    run.root.get_by_role("button", name="failed 0", exact=True).click()
    run.root.get_by_role("button", name="succeeded 119", exact=True).click()
    expect(run.row("Load")).to_have_count(0)


def test_a_refusal_stays_too(live):
    said = "the step 'Load' is executing right now; stop it first."
    run = live([step(1, "Load", value='{"a":1}')])
    run.page.evaluate("said => { window.answers.redo = { refused: said }; }", said)
    run.open("Load").get_by_role("button", name="Redo").click()
    expect(run.row("Load").get_by_text(said)).to_be_visible()
    run.put(step(1, "Load", value='{"a":1}', stale=True))
    expect(run.row("Load").get_by_text(said)).to_be_visible()


# -- the list of runs ------------------------------------------------------------------------------


def line(n, status="succeeded"):
    """One run of the list."""
    at = n * 1_000_000
    return RunLine(f"run_{n:012d}", f"loop-{n % 3}", "null", status, at, at, at + 5, 2, 2, 0, 200)


def refreshed(run, lines):
    """The list is read again: the page gets it as Python sends it."""
    run.page.evaluate("message => window.keep(message)", wire.runs(lines))


def test_the_list_of_runs_keeps_focus_place_and_what_is_open(live):
    lines = [line(n) for n in range(50, 0, -1)]
    run = live(runs=wire.runs(lines), size=(900, 400))
    run.page.evaluate("() => { window.answers.open = 'inner'; }")
    run.root.get_by_role("button", name="loop-2").first.click()
    expect(run.page.locator(".stepbook-slot-inner")).to_have_count(1)
    run.page.evaluate(
        """() => {
            window.slot = document.querySelector(".stepbook-slot-inner");
            window.slot.style.cssText = "height: 90px; overflow: auto";
            window.slot.innerHTML = '<div style="height: 900px"></div>';
            window.slot.scrollTop = 77;
        }"""
    )
    run.root.get_by_role("button", name="loop-0").nth(9).focus()
    label = (
        "[document.activeElement.closest('tr').lastElementChild.textContent,"
        " Math.round(document.activeElement.getBoundingClientRect().top)]"
    )
    focused = run.page.evaluate(label)
    assert run.box.evaluate("box => box.scrollTop") > 100
    refreshed(run, [line(51, status="failed"), *lines[:49]])
    expect(run.root.get_by_role("button", name="failed 1", exact=True)).to_be_visible()
    assert run.page.evaluate(label) == focused
    assert run.page.evaluate("window.slot.isConnected && window.slot.scrollTop") == 77
    run.page.evaluate("window.redraw()")
    run.frames()
    assert run.page.evaluate(label) == focused
    assert run.page.evaluate("window.slot.isConnected && window.slot.scrollTop") == 77
    chip = run.root.get_by_role("button", name="failed")
    chip.focus()
    refreshed(run, [line(52, status="failed"), *lines[:49]])
    expect(chip).to_be_focused()


def test_a_list_that_cannot_be_read_again_says_so(live):
    run = live(runs=wire.runs([line(1)]))
    run.page.evaluate("() => { window.answers.refresh = { refused: 'the book is busy' }; }")
    run.root.get_by_role("button", name="Refresh").click()
    expect(run.root.get_by_role("alert")).to_have_text("the book is busy")
    refreshed(run, [line(2), line(1)])
    expect(run.root.get_by_role("alert")).to_have_text("the book is busy")
    run.page.evaluate("() => { window.answers.refresh = []; }")
    run.root.get_by_role("button", name="Refresh").click()
    expect(run.root.get_by_role("alert")).to_be_hidden()


def test_a_list_of_another_version_is_refused_in_words(live):
    run = live(runs=wire.runs([line(1)]))
    expect(run.root.get_by_role("button", name="loop-1")).to_be_visible()
    run.page.evaluate("message => window.keep(message)", {**wire.runs([line(2)]), "v": 9})
    expect(run.root.get_by_role("alert")).to_contain_text("version 9 of the timeline's messages")
    expect(run.root.get_by_role("button", name="loop-1")).to_be_visible()
