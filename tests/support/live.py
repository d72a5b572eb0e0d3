"""A page that shows a run without Jupyter: the built front end, fed as a widget's model feeds it.

What happens to a view's elements in a notebook is done to them here at once, in one page: an output
is drawn anew, its cell is scrolled away, its tab is hidden, its panel is moved.
"""

from __future__ import annotations

import json

from stepbook.model.rows import RunRow, StepRow
from stepbook.timeline import bundle, wire

T0 = 1_790_000_000_000_000

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>live</title>
<link rel="icon" href="data:,">
<style>body { margin: 0; padding: 8px; background: #fff; font: 13px sans-serif }
body[data-jp-theme-light="false"] { background: #111; --jp-content-font-color1: #fff;
 --jp-layout-color0: #111; --jp-brand-color1: #2196f3; --jp-error-color1: #f44336;
 --jp-success-color1: #4caf50; --jp-warn-color0: #ffb74d }</style>
<button id="elsewhere">elsewhere</button>
<main id="panel"><section id="cell"><div id="output"></div></section></main>
<aside id="other"></aside>"""

HOST = """async ([bundle, kind, snapshot]) => {
  const file = new Blob([bundle], { type: "text/javascript" });
  const { default: widget } = await import(URL.createObjectURL(file));
  const heard = {};
  const bytes = (value) => new DataView(new TextEncoder().encode(JSON.stringify(value)).buffer);
  const traits = { kind, slot: "live", snapshot: snapshot && bytes(snapshot) };
  window.sent = [];
  window.answers = {};
  window.tell = (message) => (heard["msg:custom"] ?? []).forEach((take) => take(message, []));
  window.keep = (value) => {
    traits.snapshot = bytes(value);
    (heard["change:snapshot"] ?? []).forEach((take) => take());
  };
  const model = {
    get: (name) => traits[name],
    on: (name, take) => (heard[name] ??= []).push(take),
    off: () => undefined,
    send: (message) => {
      window.sent.push(message);
      const answer = window.answers[message.type];
      if (answer === undefined) return;
      const reply = { v: 1, type: "reply", id: message.id, ok: true, value: answer };
      const refusal = answer?.refused && { ...reply, ok: false, error: answer.refused };
      setTimeout(() => window.tell(refusal || reply), 20);
    },
  };
  window.model = model;
  // An output as notebooks make it: a host whose markup is written anew with every change.
  window.redraw = () => {
    document.getElementById("output").innerHTML = '<div class="stepbook-slot-live">kept</div>';
  };
  window.redraw();
  widget().initialize({ model });
  window.tell({ v: 1, type: "reply", id: 0, ok: true, value: null });
}"""


BLANK = """() => {
  const box = document.querySelector(".sb-scroll").getBoundingClientRect();
  const rows = [...document.querySelectorAll(".sb-row")]
    .map((row) => row.getBoundingClientRect())
    .filter((at) => at.bottom > box.top && at.top < box.bottom)
    .sort((a, b) => a.top - b.top);
  let reached = box.top;
  let blank = 0;
  for (const at of [...rows, { top: box.bottom, bottom: box.bottom }]) {
    if (at.top > reached + 1) blank += at.top - reached;
    reached = Math.max(reached, at.bottom);
  }
  return Math.round(blank);
}"""


SETTLED = """async () => {
  const box = document.querySelector(".sb-scroll");
  for (let still = 0, top = -1; still < 15; ) {
    await new Promise(requestAnimationFrame);
    still = box.scrollTop === top ? still + 1 : 0;
    top = box.scrollTop;
  }
}"""


def step(seq, name=None, *, status="succeeded", **more):
    """One row of a run; it ran for 0.1 s, one row after the other."""
    at = T0 + seq * 100_000
    ended = None if status in ("running", "pending") else at + 100_000
    more = {
        "started_at": None if status == "pending" else at,
        "completed_at": ended,
        "seconds": None if ended is None else 0.1,
        **more,
    }
    return StepRow(seq, name or f"Step {seq}", more.pop("kind", "do"), status, 1, **more)


def error(kind="ValueError", message="image is 640 px wide", lines=30):
    """The record of an error with a stack long enough to scroll."""
    frames = "".join(
        f'  File "/home/ada/{n}.py", line {n}, in f{n}\n    call({n})\n' for n in range(lines)
    )
    stack = f"Traceback (most recent call last):\n{frames}{kind}: {message}\n"
    return json.dumps(
        {"type": kind, "message": message, "stack": stack, "notes": [], "cause": None}
    )


class Live:
    """A run that a page shows: rows are put, and `send` lets the page know."""

    def __init__(self, page, rows=(), *, status="running", runs=None):
        self.page = page
        self.rev = 0
        self.run = RunRow(
            "run_11fe11fe11fe", "health-review", "p-17", status, "user", '{"patient_id":"p-17"}',
            T0, None, T0, None if status == "running" else T0 + 60_000_000,
        )  # fmt: skip
        self.steps = {}
        # An address of its own: the clipboard is open to secure pages only.
        page.route(
            "http://localhost/**", lambda route: route.fulfill(body=PAGE, content_type="text/html")
        )
        page.goto("http://localhost/")
        page.evaluate(HOST, [bundle.bundle(), "timeline" if runs is None else "runs", runs])
        if runs is None:
            self.put(*rows)

    @property
    def now(self):
        """The kernel's clock: a second after the last row's beginning."""
        return T0 + max(self.steps, default=0) * 100_000 + 1_000_000

    def put(self, *rows, **changes):
        """Change rows and the run, and send the change; wait until it is drawn."""
        self.steps.update((row.seq, row) for row in rows)
        self.run = self.run._replace(**changes)
        first, self.rev = self.rev == 0, self.rev + 1
        at = {"rev": self.rev, "now": self.now}
        if first:
            message = wire.snapshot(self.run, list(self.steps.values()), **at)
        else:
            message = wire.delta(self.run, rows, since=self.rev - 1, **at)
        self.page.evaluate("message => window.tell(message)", message)
        self.drawn()

    def send_all(self):
        """Send everything again, as when messages were lost."""
        self.rev += 1
        rows = list(self.steps.values())
        message = wire.snapshot(self.run, rows, rev=self.rev, now=self.now)
        self.page.evaluate("message => window.tell(message)", message)
        self.drawn()

    def drawn(self):
        """Wait until the last change is in the page, and two frames longer."""
        self.page.wait_for_function(
            "rev => Number(document.querySelector('.sb-root')?.dataset.rev ?? rev) >= rev",
            arg=self.rev,
        )
        self.frames()

    def frames(self, count=2):
        """Wait for frames."""
        self.page.evaluate(
            "async count => { while (count--) await new Promise(requestAnimationFrame); }", count
        )

    def end(self, *rows, status="succeeded"):
        """Let the run end as in a notebook: the output is drawn anew after the last row."""
        self.put(*rows, status=status, completed_at=self.now)
        self.page.evaluate("window.redraw()")
        self.frames()

    @property
    def root(self):
        """The live view."""
        return self.page.locator(".sb-root")

    @property
    def box(self):
        """What scrolls."""
        return self.page.locator(".sb-scroll")

    def head(self, name):
        """The head of a row."""
        return self.root.locator(".sb-head", has=self.page.get_by_text(name, exact=True))

    def row(self, name):
        """A row."""
        return self.root.locator(
            ".sb-row", has=self.page.locator(".sb-name").get_by_text(name, exact=True)
        )

    def open(self, name):
        """Open a row, and return it."""
        if self.head(name).get_attribute("aria-expanded") == "false":
            self.head(name).click()
        return self.row(name)

    def wheel_to(self, top):
        """Scroll the list as a reader does, and wait until nothing moves any more."""
        self.box.evaluate("(box, top) => { box.scrollTop = top; }", top)
        self.settled()

    def settled(self):
        """Wait until scrolling has been over for longer than anything waits for."""
        self.page.evaluate(SETTLED)

    def in_sight(self):
        """The names of the rows that a reader sees in the list's window, in order."""
        return self.page.evaluate(
            """() => {
                const box = document.querySelector(".sb-scroll").getBoundingClientRect();
                return [...document.querySelectorAll(".sb-row")]
                    .map((row) => [row.getBoundingClientRect(), row])
                    .filter(([at]) => at.height > 0)
                    .filter(([at]) => at.bottom > box.top + 1 && at.top < box.bottom - 1)
                    .sort(([a], [b]) => a.top - b.top)
                    .map(([, row]) => row.querySelector(".sb-name").textContent);
            }"""
        )

    def blank(self):
        """How many pixels of the list's window no row covers; a rounded pixel is none."""
        return self.page.evaluate(BLANK)

    def place(self):
        """The first row in sight, and how far it is cut off."""
        return self.page.evaluate(
            """() => {
                const top = document.querySelector(".sb-scroll").getBoundingClientRect().top;
                const rows = [...document.querySelectorAll(".sb-row")]
                    .map((row) => [row.getBoundingClientRect(), row])
                    .filter(([at]) => at.bottom > top + 1)
                    .sort(([a], [b]) => a.top - b.top);
                const [at, row] = rows[0];
                return [row.querySelector(".sb-name").textContent, Math.round(top - at.top)];
            }"""
        )

    def focus(self):
        """What has the focus: a row's name and the element's label; None if nothing in the view."""
        return self.page.evaluate(
            """() => {
                const active = document.activeElement;
                if (!active?.closest(".sb-root")) return null;
                const row = active.closest(".sb-row")?.querySelector(".sb-name")?.textContent;
                if (active.classList.contains("sb-head")) return row;
                const label = active.getAttribute("aria-label") ?? active.textContent;
                return row ? `${row}: ${label}` : label;
            }"""
        )
