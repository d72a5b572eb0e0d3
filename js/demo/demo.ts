/**
 * The view without a kernel: `npm run demo`, then `?case=recorded` (the fixture that Python wrote),
 * `live`, `empty`, `long`, `hostile`, or a number of rows; `&theme=dark`.
 */

import fixture from "../../tests/fixtures/wire.json";
import { Timeline } from "../src/model/state";
import {
  type Delta,
  FIELDS,
  type Row,
  type Run,
  readMessage,
  type Snapshot,
} from "../src/model/wire";
import { View } from "../src/views/view";

const T0 = Date.UTC(2026, 10, 22, 9, 0) * 1000;

const RUN: Run = {
  id: "run_demo00000000",
  loop: "health-review",
  key: "{}",
  status: "succeeded",
  trigger_type: "user",
  input: '{"patient_id":"p-17"}',
  output: null,
  created_at: T0,
  started_at: T0,
  completed_at: T0 + 60_000_000,
};

function row(seq: number, name: string, more: Partial<Row> = {}): Row {
  return {
    seq,
    name,
    kind: "do",
    parent: null,
    item: null,
    status: "succeeded",
    attempt: 1,
    started_at: T0 + seq * 1_000_000,
    completed_at: T0 + seq * 1_000_000 + 800_000,
    seconds: 0.8,
    return: null,
    return_size: null,
    error: null,
    error_size: null,
    stale: false,
    handled: false,
    progress: null,
    usual: null,
    expires_at: null,
    policy: null,
    verdict: null,
    changes: null,
    reason: null,
    ...more,
  };
}

const pack = (rows: readonly Row[]): unknown[][] =>
  rows.map((r) => FIELDS.map((field) => r[field]));

function snapshot(rows: readonly Row[], run: Partial<Run> = {}, now = T0 + 60_000_000): Snapshot {
  return {
    v: 1,
    type: "snapshot",
    rev: 1,
    now,
    run: { ...RUN, ...run },
    fields: FIELDS,
    rows: pack(rows),
  };
}

const LOREM = Array.from(
  { length: 20 },
  (_, i) => `line ${i + 1} of a message that goes on and on`,
).join("\n");
const STACK = `Traceback (most recent call last):
  File "/opt/venv/lib/python3.12/site-packages/stepbook/_execute.py", line 88, in execute
    value = fn(*args)
  File "/home/ada/review.ipynb", line 4, in score
    return scores[patient]
           ~~~~~~^^^^^^^^^
KeyError: 'p-17'
`;
const error = (type: string, message: string): string =>
  JSON.stringify({ type, message, stack: STACK, notes: ["in step 'Score'"], cause: null });

const CASES: Record<string, () => Snapshot> = {
  recorded: () => readMessage(fixture.snapshot) as Snapshot,
  empty: () => snapshot([], { status: "running", completed_at: null }),
  failing: () =>
    snapshot(
      [
        row(1, "Load profile", { return: '{"id":"p-17","region":"EU","plan":"gold"}' }),
        row(2, "Generate health scan", { return: '"s-901"', attempt: 3 }),
        row(3, "Score", { status: "failed", error: error("KeyError", "'p-17'") }),
        row(4, "Send notification", {
          status: "pending",
          started_at: null,
          completed_at: null,
          seconds: null,
        }),
      ],
      { status: "failed", output: null },
    ),
  long: () =>
    snapshot([
      row(
        1,
        "A name that somebody made from a whole sentence, with every parameter in it: " +
          "alpha=0.1, ".repeat(20),
      ),
      row(2, "averyveryverylongnamewithoutanyspace".repeat(6)),
      row(3, "טעינת פרופיל המטופל (p-17)", { return: '"נטען"' }),
      row(4, "🏥 Load 👩🏽‍⚕️ profile 🎉", {
        return: '{"emoji":"🎉","n":12345678901234567890,"x":1.50}',
      }),
      row(5, "First line\nsecond line of the same name"),
      row(6, "Message of twenty lines", { status: "failed", error: error("RuntimeError", LOREM) }),
      row(7, "Long string", { return: JSON.stringify("word ".repeat(400)) }),
      row(8, "Deep", {
        return: JSON.stringify({
          a: { b: { c: { d: [1, 2, { e: null }] } } },
          f: [[], {}],
          g: true,
          h: 0.1,
          i: "x",
        }),
      }),
      row(9, "Many items", {
        return: JSON.stringify(Array.from({ length: 700 }, (_, i) => ({ id: i, ok: i % 2 === 0 }))),
      }),
    ]),
  hostile: () =>
    snapshot(
      [
        row(1, '<img src=x onerror="window.hacked=1">', {
          return: '"<script>window.hacked=2</script>"',
        }),
        row(2, "</script><script>window.hacked=3</script>", {
          status: "failed",
          error: error("<b>Bold</b>", '<img src=x onerror="window.hacked=4">'),
        }),
        row(3, "javascript:window.hacked=5", {
          return: '{"__proto__":{"polluted":1},"<i>":"http://example.org/x.png"}',
        }),
      ],
      { loop: "<img src=x onerror=window.hacked=6>", input: '{"<svg onload=window.hacked=7>":1}' },
    ),
};

function many(count: number): Snapshot {
  const rows = Array.from({ length: count }, (_, i) => {
    const failed = i % 997 === 996;
    return row(i + 1, `Score patient p-${i}`, {
      status: failed ? "failed" : "succeeded",
      started_at: T0 + i * 6_000,
      completed_at: T0 + i * 6_000 + 5_000,
      seconds: 0.005 + (i % 7) / 1000,
      return: failed ? null : i % 3 ? `{"score":${(i % 100) / 100},"region":"EU"}` : "null",
      error: failed ? error("KeyError", `'p-${i}'`) : null,
    });
  });
  return snapshot(rows, { status: "failed", completed_at: T0 + count * 6_000 }, T0 + count * 6_000);
}

/** A run that goes on: a row every 400 ms, each running for a while. */
function live(timeline: Timeline, view: View): void {
  const now = (): number => Date.now() * 1000;
  const run: Partial<Run> = {
    status: "running",
    created_at: now(),
    started_at: now(),
    completed_at: null,
  };
  let rev = 1;
  timeline.apply({ ...snapshot([], run, now()), rev }, now());
  let seq = 0;
  const send = (rows: Row[]): void => {
    const message: Delta = { ...snapshot(rows, run, now()), type: "delta", since: rev, rev: ++rev };
    timeline.apply(message, now());
    view.changed();
  };
  setInterval(() => {
    const started = now();
    const mine = row(++seq, `Step ${seq}`, {
      status: "running",
      started_at: started,
      completed_at: null,
      seconds: null,
      usual: 1,
    });
    send([mine]);
    setTimeout(
      () =>
        send([
          {
            ...mine,
            status: seq % 9 ? "succeeded" : "failed",
            completed_at: now(),
            seconds: (now() - started) / 1e6,
            return: `{"n":${mine.seq}}`,
            error: seq % 9 ? null : error("ValueError", "nine"),
          },
        ]),
      900,
    );
  }, 400);
}

const query = new URLSearchParams(location.search);
const name = query.get("case") ?? "recorded";
document.body.dataset.jpThemeLight = String(query.get("theme") !== "dark");

const timeline = new Timeline();
const view = new View(timeline, {});
(document.getElementById("timeline") as HTMLElement).append(view.element);
if (name === "live") live(timeline, view);
else {
  const made = /^\d+$/.test(name) ? many(Number(name)) : (CASES[name] ?? CASES.recorded)?.();
  if (made) {
    const start = performance.now();
    timeline.apply(made, Date.now() * 1000);
    view.changed();
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        document.body.dataset.firstDrawMs = (performance.now() - start).toFixed(1);
      }),
    );
  }
}
