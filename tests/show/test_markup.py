"""Whatever stands in the tables is shown as text: in every HTML that stepbook makes."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from overwritten import overwrite, record, shapes

import stepbook
from stepbook.model.rows import RunRow, StepRow
from stepbook.show import html as show_html
from stepbook.show import text as show_text
from stepbook.timeline import wire as wire_format
from stepbook.timeline.follow import Follower

#: What DuckDB stores of everything that could be taken for something else.
HOSTILE = (
    "\"><img src=x onerror=window.hacked=1></script><script>window.hacked=1</script><!--'`&amp;"
    "\u2028<a href=javascript:window.hacked=1>\x07\x1b[31m\u202etxt\u2066"
)
ALLOWED = {
    "div", "span", "b", "pre", "details", "summary", "table", "thead", "tbody", "tr", "th", "td",
    "code",
}  # fmt: skip
ATTRIBUTES = {"style", "open", "title", "class"}

SHAPES = shapes(HOSTILE)


class Elements(HTMLParser):
    """The elements and attributes of an HTML, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.values = set(), set(), "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def harmless(html, more=frozenset()):
    found = Elements(html)
    assert found.tags <= ALLOWED | more, found.tags
    assert found.attributes <= ATTRIBUTES, found.attributes
    assert not any(character in html for character in "\x07\x1b\u2028\u202e\u2066\ud800")
    html.encode()
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recorded"))


def hostile_book(recorded, folder, shape, **options):
    """Return a copy of the recorded book with every column of every table overwritten."""
    return stepbook.connect(overwrite(recorded, folder, HOSTILE, shape, **options)), recorded[1]


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(params=[False, True], ids=["known", "unknown"])
def opened(request, recorded, tmp_path, shape):
    book, run_id = hostile_book(recorded, tmp_path, shape, enums=request.param)
    yield book, book.get(run_id)
    book.close()


@pytest.mark.by_turns(0.5)
def test_every_view_of_a_hostile_book_is_text_and_nothing_else(opened, tmp_path):
    book, run = opened
    data = run._repr_mimebundle_()
    found = harmless(data["text/html"])
    assert "onerror=window.hacked=1" in found.text
    assert "\x1b" not in data["text/plain"]
    harmless(book._repr_mimebundle_()["text/html"])
    widget = run.timeline()
    harmless(widget.static()["text/html"])
    harmless(widget.slotted()["text/html"])
    for frame in (run.steps(), run.attempts(), run.logs(), book.runs(), book.steps(parse=True)):
        tags = Elements(frame._repr_html_()).tags
        assert tags <= {"div", "style", "table", "thead", "tbody", "tr", "th", "td", "p"}
    page = run.to_html(tmp_path / "run.html").read_text("utf-8")
    # The policy, the noscript view, the data and the code, and each ends where it should.
    assert page.count("</script") == 2
    noscript = page.split("<noscript>", 1)[1].split("</noscript>", 1)[0]
    harmless(noscript)
    wire = page.split('timeline+json">', 1)[1].split("</script>", 1)[0]
    message = json.loads(wire, parse_constant=pytest.fail)
    assert {row[5] for row in message["rows"]} <= {"pending", "running", "succeeded", "failed"}
    follower = Follower(book._opened, run.id)
    follower.recall()
    for step in follower.steps:
        for answer in (follower.attempts(step.name), follower.previous(step.name)):
            json.loads(wire_format.encode(wire_format.reply(1, answer)), parse_constant=pytest.fail)
    assert follower.search("nothing like it") == []
    json.loads(wire_format.encode(follower.since(-1)), parse_constant=pytest.fail)


def test_times_that_no_calendar_has_are_left_out(recorded, tmp_path):
    far = "290000-01-01 00:00:00+00"
    book, run_id = hostile_book(recorded, tmp_path, HOSTILE, enums=True, times=far)
    run = book.get(run_id)
    harmless(run._repr_mimebundle_()["text/html"])
    harmless(book._repr_mimebundle_()["text/html"])
    run.to_html(tmp_path / "run.html")
    book.close()


INVALID = ["not JSON", "[", "", "NaN", '{"a": ', HOSTILE, "[" * 100_000, '"\\ud800"']


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
@pytest.mark.parametrize("status", ["running", "succeeded", "failed", "pending", HOSTILE])
def test_what_is_no_json_is_shown_as_it_is(text, status):
    """A journal, unlike DuckDB, may hold anything in a column of JSON."""
    run = RunRow(HOSTILE, HOSTILE, HOSTILE, status, "user", text, 1, output=text, note=text)
    steps = [
        StepRow(n, f"{n}{HOSTILE}", kind, status, 1, parent=parent, started_at=1, value=text,
                error=text, progress=text, seconds=float("inf"))
        for n, (kind, parent) in enumerate(
            [("do", None), ("scan", f"0{HOSTILE}"), ("sleep", "x"), (HOSTILE, None), ("map", None)]
        )
    ]  # fmt: skip
    static = show_html.static_html(run, steps)
    harmless(static)
    assert "\x1b" not in show_text.timeline(run, steps)
    data = wire_format.encode(wire_format.snapshot(run, steps, rev=1, now=0, room=10))
    page = show_html.page_html(HOSTILE, data, "export{};", static)
    assert page.count("</script") == 2
    page.encode()


def test_steps_that_name_each_other_as_the_outer_one_are_shown():
    steps = [
        StepRow(1, "a", "do", "succeeded", 1, parent="b", value="1"),
        StepRow(2, "b", "do", "succeeded", 1, parent="a", value="2"),
    ]
    text = harmless(
        show_html.static_html(RunRow("r", "l", "k", "failed", "user", "1", 1), steps)
    ).text
    assert text.count("a ") >= 1
    assert text.count("b ") >= 1


def test_one_module_makes_markup():
    """Elements are written by ``show_html.tag``; every other module goes through it."""
    package = Path(stepbook.__file__).parent
    makers = [
        path.name
        for path in package.rglob("*.py")
        if any(
            f"<{tag}" in path.read_text("utf-8") for tag in ("div", "span", "pre", "table", "td")
        )
    ]
    assert makers == []


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("<b>", "&lt;b&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("a\tb\nc\r\nd", "a\tb\nc\r\nd"),
        ("\x00\x1b\x7f\u2028\u202e", "\\x00\\x1b\\x7f\\u2028\\u202e"),
        ("\ud800", "\\ud800"),
        ("äß漢字🎉", "äß漢字🎉"),
        (5, "5"),
        (None, "None"),
    ],
)
def test_what_is_escaped_is_seen(given, seen):
    assert show_html.escaped(given) == seen
    assert show_html.escaped(show_html.escaped(given)) == seen


# ---- what ctx.progress records -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "recorded"),
    [
        ((3, 10), {"done": 3, "total": 10, "message": None}),
        ((0.5, 1.0, "half"), {"done": 0.5, "total": 1, "message": "half"}),
        ((float("nan"), float("inf")), {"done": None, "total": None, "message": None}),
        ((10**30,), {"done": 10**30, "total": None, "message": None}),
        ((1, 1, "a\ud800b"), {"done": 1, "total": 1, "message": "a\\ud800b"}),
        ((1, 1, HOSTILE), {"done": 1, "total": 1, "message": HOSTILE}),
    ],
    ids=range(6),
)
def test_progress_is_recorded_as_json_whatever_is_told(book, arguments, recorded):
    run = book.run("loop")
    run.do("a", lambda ctx: ctx.progress(*arguments))
    run.close()
    assert run.steps()["progress"].iloc[0] == recorded
    assert book.run("loop").do("b", lambda: 1) == 1


def test_progress_takes_the_numbers_of_numpy_and_refuses_what_is_no_number(book):
    numpy = pytest.importorskip("numpy")
    run = book.run("loop")
    run.do("a", lambda ctx: ctx.progress(numpy.int64(3), numpy.float32(3.5)))
    assert run.steps()["progress"].iloc[0] == {"done": 3, "total": 3.5, "message": None}
    with pytest.raises(stepbook.InvalidInputError, match="numbers"):
        run.do("b", lambda ctx: ctx.progress("many"))
