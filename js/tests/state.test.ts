import { beforeEach, expect, test } from "vitest";
import fixture from "../../tests/fixtures/wire.json";
import { ancestors, newChoice, nextFailed, Timeline, visible } from "../src/model/state";
import { type Delta, readMessage, type Snapshot } from "../src/model/wire";

const snapshot = readMessage(fixture.snapshot) as Snapshot;
const delta = readMessage(fixture.delta) as Delta;
let timeline: Timeline;

beforeEach(() => {
  timeline = new Timeline();
  timeline.apply(snapshot, 0);
});

const names = (choice = newChoice()): string[] =>
  visible(timeline, choice).map(
    (entry) => "  ".repeat(entry.depth) + timeline.get(entry.seq)?.name,
  );

test("steps stand in the order they ran, nested ones beneath, a failed map is open", () => {
  expect(names()).toEqual([
    "Load profile",
    "Generate health scan",
    "  Warm up the device",
    "Wait for scan",
    "Score",
    "  Score [i-0]",
    "  Score [i-1]",
    "  Score [i-2]",
    "  Score [i-3]",
    "Train",
    "Big table",
    "Send notification",
  ]);
});

test("a delta changes its rows and the run", () => {
  expect(timeline.apply(delta, 0)).toBe("applied");
  expect(timeline.run?.status).toBe("succeeded");
  expect([...timeline.rows.values()].find((row) => row.name === "Train")?.status).toBe("succeeded");
  expect(timeline.steps).toEqual({ pending: 1, running: 0, succeeded: 6, failed: 1 });
});

test("applying a delta twice changes nothing", () => {
  timeline.apply(delta, 0);
  const before = JSON.stringify([...timeline.rows]);
  timeline.apply(delta, 0);
  expect(JSON.stringify([...timeline.rows])).toBe(before);
  expect(timeline.steps.succeeded).toBe(6);
});

test("a gap is seen, an overlap is none, and what is older than what is known is dropped", () => {
  expect(timeline.apply({ ...delta, since: 41, rev: 42 }, 0)).toBe("gap");
  expect(timeline.apply({ ...delta, since: 10, rev: 42 }, 0)).toBe("applied");
  expect(timeline.apply(snapshot, 0)).toBe("old");
  expect(new Timeline().apply(delta, 0)).toBe("gap");
});

test("items of a map are counted apart from steps", () => {
  expect(timeline.steps).toEqual({ pending: 1, running: 1, succeeded: 5, failed: 1 });
  expect(timeline.itemsOf(5)).toEqual({ pending: 0, running: 0, succeeded: 3, failed: 1 });
});

test("failed items come first", () => {
  const last = snapshot.rows.map((row) => [...row]);
  const status = snapshot.fields.indexOf("status");
  (last[8] as unknown[])[status] = "failed";
  timeline.apply({ ...snapshot, rows: last, rev: 50 }, 0);
  expect(names().slice(5, 9)).toEqual([
    "  Score [i-0]",
    "  Score [i-3]",
    "  Score [i-1]",
    "  Score [i-2]",
  ]);
});

test("positions are those among siblings", () => {
  const entry = visible(timeline, newChoice()).find(
    (e) => timeline.get(e.seq)?.name === "Score [i-2]",
  );
  expect(entry).toMatchObject({ depth: 1, position: 3, siblings: 4 });
});

test("a search keeps what a match is nested in", () => {
  expect(names({ ...newChoice(), query: "WARM" })).toEqual([
    "Generate health scan",
    "  Warm up the device",
  ]);
});

test("a search looks into returns and errors", () => {
  expect(names({ ...newChoice(), query: "MRI" })).toEqual(["Wait for scan"]);
  expect(names({ ...newChoice(), query: "640 px" })).toEqual(["Score", "  Score [i-0]"]);
});

test("a filter by status reaches into maps", () => {
  expect(names({ ...newChoice(), status: "failed" })).toEqual(["Score", "  Score [i-0]"]);
  expect(names({ ...newChoice(), status: "pending" })).toEqual(["Send notification"]);
});

test("the next failed row is found in closed maps, too, and after the last comes the first", () => {
  const choice = { ...newChoice(), open: new Map([[5, false]]) };
  expect(nextFailed(timeline, choice, null, 1)).toBe(5);
  expect(nextFailed(timeline, choice, 5, 1)).toBe(6);
  expect(nextFailed(timeline, choice, 6, 1)).toBe(5);
  expect(nextFailed(timeline, choice, 5, -1)).toBe(6);
  expect(ancestors(timeline, 6)).toEqual([5]);
});

test("a body that was fetched replaces its beginning", () => {
  timeline.putBody(11, "return", "[1]");
  expect(timeline.get(11)).toMatchObject({ return: "[1]", return_size: null });
});

// Whoever goes through all rows for each of them needs minutes here, and runs into the time limit.
test("a hundred thousand rows are listed and searched", () => {
  const names = snapshot.fields;
  const rows = Array.from({ length: 100_000 }, (_, i) =>
    names.map((field) =>
      field === "seq"
        ? i + 1
        : field === "name"
          ? `Score patient p-${i}`
          : field === "status"
            ? "succeeded"
            : null,
    ),
  );
  timeline.apply({ ...snapshot, rows, rev: 99 }, 0);
  expect(visible(timeline, newChoice())).toHaveLength(100_000);
  expect(visible(timeline, { ...newChoice(), query: "P-99999" })).toHaveLength(1);
}, 30_000);
