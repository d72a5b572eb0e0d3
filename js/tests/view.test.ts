// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import fixture from "../../tests/fixtures/wire.json";
import { DATA_TYPE, showEmbedded } from "../src/hosts/page";
import type { Json } from "../src/model/json";
import { UNSTORED } from "../src/model/rows";
import { Timeline } from "../src/model/state";
import type { Sample } from "../src/model/tagged";
import { type Delta, type Request, type Runs, readMessage, type Snapshot } from "../src/model/wire";
import type { Host } from "../src/views/body";
import { RunsView } from "../src/views/runs";
import { tree } from "../src/views/tree";
import { View } from "../src/views/view";

const snapshot = readMessage(fixture.snapshot) as Snapshot;
let view: View;

function show(message: Snapshot, host: Host = {}): Timeline {
  const timeline = new Timeline();
  timeline.apply(message, message.now);
  view = new View(timeline, host);
  document.body.append(view.element);
  view.changed();
  vi.advanceTimersByTime(50);
  return timeline;
}

const head = (name: string): HTMLButtonElement =>
  [...view.element.querySelectorAll<HTMLButtonElement>(".sb-head")].find(
    (element) => element.querySelector(".sb-name")?.textContent === name,
  ) as HTMLButtonElement;

// happy-dom lays nothing out: a window of 2,000 pixels over rows of 30.
const give = (owner: object, name: string, size: number): void => {
  let holder = owner;
  while (!Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder) as object;
  Object.defineProperty(holder, name, { configurable: true, get: () => size });
};
give(document.createElement("div"), "clientWidth", 800);
give(document.createElement("div"), "clientHeight", 2000);
give(document.createElement("div"), "offsetHeight", 30);
window.ResizeObserver = class {
  observe(): void {
    // Nothing has a size here.
  }
  unobserve(): void {
    // Nothing is observed.
  }
  disconnect(): void {
    // Nothing is observed.
  }
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  view?.dispose();
  document.body.replaceChildren();
  vi.useRealTimers();
});

test("the head tells how the run stands", () => {
  show(snapshot);
  const text = view.element.querySelector(".sb-run")?.textContent ?? "";
  expect(text).toContain("health-review");
  expect(text).toContain("5 of 8 steps, 1 failed");
  expect(text).toContain("run_7c0ffee7c0de");
});

test("a short return stands open, a long one in a line, a failed row is open", () => {
  show(snapshot);
  expect(head("Load profile").getAttribute("aria-expanded")).toBe("false");
  expect(head("Load profile").parentElement?.querySelector(".sb-lines")?.textContent).toContain(
    '"EU"',
  );
  expect(
    head("Wait for scan").parentElement?.querySelector(".sb-line-peek")?.textContent,
  ).toContain("images");
  expect(head("Score").getAttribute("aria-expanded")).toBe("true");
  expect(head("Score").textContent).toContain("3 of 4 items, 1 failed");
});

test("a row opens and closes", () => {
  show(snapshot);
  head("Load profile").click();
  expect(head("Load profile").getAttribute("aria-expanded")).toBe("true");
  expect(view.element.querySelector('[role="tree"]')?.textContent).toContain("gold");
  head("Load profile").click();
  expect(view.element.querySelector('[role="tree"]')).toBeNull();
});

test("a delta changes the row in place", () => {
  const timeline = show(snapshot);
  const before = head("Train");
  timeline.apply(readMessage(fixture.delta) as Delta, snapshot.now);
  view.changed();
  vi.advanceTimersByTime(50);
  expect(head("Train")).toBe(before);
  expect(before.parentElement?.dataset.status).toBe("succeeded");
  expect(before.textContent).toContain("3.60 s");
});

test("a return that was cut is fetched when its row is opened", async () => {
  const request = vi.fn(async () => "[1,2,3]");
  const rows = snapshot.rows.map((row) => [...row]);
  const at = (field: string): number => snapshot.fields.indexOf(field);
  const row = rows[0] as unknown[];
  row[at("return")] = '{"beginn';
  row[at("return_size")] = 70_000;
  show({ ...snapshot, rows }, { request });
  head("Load profile").click();
  expect(request).toHaveBeenCalledWith({ type: "body", seq: 1, field: "return" });
  await vi.advanceTimersByTimeAsync(50);
  expect(view.element.querySelector('[role="tree"]')?.textContent).toContain("3");
});

test("without a kernel a cut return says where the rest is", () => {
  const rows = snapshot.rows.map((row) => [...row]);
  (rows[0] as unknown[])[snapshot.fields.indexOf("return_size")] = 70_000;
  show({ ...snapshot, rows });
  head("Load profile").click();
  expect(view.element.textContent).toContain("The beginning of 70 kB; the book has the whole.");
});

test("a step of which nothing is stored says so, and why when it is opened", () => {
  const rows = snapshot.rows.map((row) => [...row]);
  const at = (field: string): number => snapshot.fields.indexOf(field);
  const row = rows[0] as unknown[];
  row[at("return")] = null;
  row[at("policy")] = "max-size";
  show({ ...snapshot, rows });
  expect(head("Load profile").querySelector(".sb-badge")?.textContent).toBe("not stored");
  expect(head("Wait for scan").textContent).not.toContain("not stored");
  head("Load profile").click();
  expect(head("Load profile").parentElement?.textContent).toContain(UNSTORED["max-size"]);
});

test("every button keeps its keys from the notebook", () => {
  show(snapshot);
  for (const element of view.element.querySelectorAll("button, input, [tabindex]")) {
    expect(element.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  }
});

test("names and values are text, never markup", () => {
  const rows = snapshot.rows.map((row) => [...row]);
  const at = (field: string): number => snapshot.fields.indexOf(field);
  (rows[0] as unknown[])[at("name")] = '<img src=x onerror="alert(1)">';
  (rows[0] as unknown[])[at("return")] = '"<script>alert(2)</script>"';
  show({ ...snapshot, rows, run: { ...snapshot.run, loop: "<b>x</b>" } });
  expect(view.element.querySelector("img, script, b")).toBeNull();
});

test("a recorded run in a page is shown, another version is refused in words", () => {
  const put = (value: unknown): void => {
    const data = document.createElement("script");
    data.type = DATA_TYPE;
    data.textContent = JSON.stringify(value);
    document.body.append(data);
  };
  put(fixture.snapshot);
  put({ ...fixture.snapshot, v: 9 });
  showEmbedded(document);
  vi.advanceTimersByTime(50);
  const [good, bad] = document.querySelectorAll(".sb-root");
  expect(good?.textContent).toContain("health-review");
  expect(bad?.querySelector('[role="alert"]')?.textContent).toContain("version 9");
});

test("a tree shows a page of a long array and then more", () => {
  const element = tree(
    Array.from({ length: 120 }, (_, i) => i),
    "Return",
  );
  document.body.append(element);
  expect(element.querySelectorAll('[role="treeitem"]')).toHaveLength(51);
  (element.lastElementChild as HTMLElement).click();
  expect(element.querySelectorAll('[role="treeitem"]')).toHaveLength(101);
});

test("arrows walk and fold a tree", () => {
  const element = tree({ a: { b: 1 }, c: "x".repeat(1000) }, "Return");
  document.body.append(element);
  const first = element.firstElementChild as HTMLElement;
  first.focus();
  const press = (key: string): void => {
    document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  };
  press("ArrowRight");
  expect(first.getAttribute("aria-expanded")).toBe("true");
  press("ArrowDown");
  expect(document.activeElement?.textContent).toContain("b: 1");
  press("ArrowLeft");
  press("ArrowLeft");
  expect(first.getAttribute("aria-expanded")).toBe("false");
  press("End");
  press("Enter");
  expect(element.textContent).toContain("x".repeat(1000));
});

test("a sealed value tells what it is, and nothing of its bytes", () => {
  const node: Json = {
    $stepbook: "sealed",
    class: "scipy.optimize.OptimizeResult",
    shape: [3, 2],
    repr: "message: <b>done</b>",
    packages: { scipy: "1.17.1", mine: "" },
    pickle: { data: "gASV", sha256: "ab" },
  };
  const element = tree(node, "value");
  expect(element.textContent).toContain("sealed scipy.optimize.OptimizeResult 3 × 2");
  expect(element.textContent).toContain("message: <b>done</b>");
  expect(element.textContent).toContain("scipy 1.17.1, mine");
  expect(element.textContent).not.toContain("gASV");
  expect(element.querySelector("b")).toBeNull();
});

test("tables are grids, tagged values tell their kind", () => {
  const table = tree(
    {
      $stepbook: "pandas.DataFrame",
      shape: [5000, 12],
      columns: { labels: ["a", "b"] },
      preview: [
        [1, "x"],
        [2, null],
      ],
    },
    "Return",
  );
  expect(table.querySelectorAll("th")).toHaveLength(2);
  expect(table.textContent).toContain("4,998 more rows and 10 more columns in the book");
  const pair = tree(
    { pair: { $stepbook: "tuple", items: [1, { $stepbook: "decimal", value: "1.50" }] } },
    "Return",
  );
  document.body.append(pair);
  expect(pair.textContent).toContain("tuple");
  (pair.firstElementChild as HTMLElement).click();
  expect(pair.querySelectorAll('[role="treeitem"]')).toHaveLength(3);
  expect(pair.textContent).toContain("decimal 1.50");
});

test("what the page holds only the beginning of is searched in the record", async () => {
  const asked: Request[] = [];
  const request = (what: Request): Promise<unknown> => {
    asked.push(what);
    return Promise.resolve(what.type === "search" ? [1] : null);
  };
  const at = (field: string): number => snapshot.fields.indexOf(field);
  const rows = snapshot.rows.map((cells) =>
    cells[at("seq")] === 1
      ? cells.map((cell, i) => (i === at("return_size") ? 9000 : cell))
      : cells,
  );
  show({ ...snapshot, rows }, { request });
  const search = view.element.querySelector<HTMLInputElement>(".sb-search") as HTMLInputElement;
  search.value = "needle";
  search.dispatchEvent(new Event("input"));
  vi.advanceTimersByTime(50);
  expect(view.element.querySelector(".sb-found")?.textContent).toBe(
    "0 shown, searching long values…",
  );
  await vi.advanceTimersByTimeAsync(300);
  expect(asked).toEqual([{ type: "search", query: "needle" }]);
  expect(view.element.querySelector(".sb-found")?.textContent).toBe("1 shown");
});

test("a table shows what its rows are called", () => {
  const frame = (more: Record<string, Json>): HTMLElement =>
    tree(
      { $stepbook: "pandas.DataFrame", shape: [9, 1], columns: { labels: ["n"] }, ...more },
      "R",
    );
  const cells = (table: HTMLElement): string[][] =>
    [...table.querySelectorAll("tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
  const counted = frame({
    index: { $stepbook: "pandas.RangeIndex", start: 10, stop: 28, step: 2, name: "t" },
    preview: [[1], [2]],
  });
  expect(cells(counted)).toEqual([
    ["t", "n"],
    ["10", "1"],
    ["12", "2"],
  ]);
  const labelled = frame({
    index: { name: null, freq: null, levels: 0 },
    preview: { index: [["a"], ["b"]], rows: [[1], [2]] },
  });
  expect(cells(labelled)).toEqual([
    ["Row", "n"],
    ["a", "1"],
    ["b", "2"],
  ]);
  expect(labelled.querySelectorAll('tbody th[scope="row"]')).toHaveLength(2);
  const levels = frame({
    index: { names: ["city", null], freqs: [null, null], levels: 2 },
    preview: { index: [["Rome", 1]], rows: [[5]] },
  });
  expect(cells(levels)).toEqual([
    ["city", "Row", "n"],
    ["Rome", "1", "5"],
  ]);
  // As it was recorded before labels were: without them.
  expect(cells(frame({ index: { name: null, freq: null, levels: 0 }, preview: [[1]] }))).toEqual([
    ["n"],
    ["1"],
  ]);
});

test("more rows of a table go on counting, or come with their labels", async () => {
  const node = { $stepbook: "pandas.DataFrame", shape: [4, 1], columns: { labels: ["n"] } };
  const heads = async (index: Json, preview: Json, more: Sample): Promise<string[]> => {
    const table = tree({ ...node, index, preview }, "R", () => Promise.resolve(more));
    [...table.querySelectorAll("button")].find((b) => b.textContent === "Show more rows")?.click();
    await vi.advanceTimersByTimeAsync(1);
    return [...table.querySelectorAll("tbody th")].map((head) => head.textContent);
  };
  const range = { $stepbook: "pandas.RangeIndex", start: 0, stop: 4, step: 1, name: null };
  expect(await heads(range, [[1], [2]], [[3], [4]])).toEqual(["0", "1", "2", "3"]);
  const labels = { index: [["c"], ["d"]], rows: [[3], [4]] };
  const first = { index: [["a"], ["b"]], rows: [[1], [2]] };
  expect(await heads({ name: null, levels: 0 }, first, labels)).toEqual(["a", "b", "c", "d"]);
});

test("the answer to an act stays until the step has been executed again, and ten seconds", async () => {
  const timeline = show(snapshot, { request: () => Promise.resolve("Again in the next pass.") });
  head("Load profile").click();
  const redo = [...view.element.querySelectorAll("button")].find((b) => b.textContent === "Redo");
  redo?.click();
  const at = (field: string): number => snapshot.fields.indexOf(field);
  let rev = snapshot.rev;
  const put = async (change: Record<string, unknown>, later: number): Promise<string> => {
    const cells = [...(snapshot.rows[0] as unknown[])];
    for (const [field, value] of Object.entries(change)) cells[at(field)] = value;
    const now = timeline.clockOffset + Date.now() * 1000;
    timeline.apply(
      { ...snapshot, type: "delta", since: rev, rev: ++rev, now, rows: [cells] },
      Date.now() * 1000,
    );
    view.changed();
    await vi.advanceTimersByTimeAsync(later);
    const answers = [...view.element.querySelectorAll<HTMLElement>(".sb-answer:not([hidden])")];
    return answers.map((answer) => answer.textContent).join();
  };
  const pending = { status: "pending", attempt: 2, started_at: null, completed_at: null };
  expect(await put(pending, 60_000)).toBe("Again in the next pass.");
  const now = timeline.clockOffset + Date.now() * 1000;
  expect(await put({ ...pending, status: "running", started_at: now }, 50)).toBe("");
});

test("the list of runs is shown as Python writes it", () => {
  const list = readMessage(fixture.runs) as Runs;
  const runs = new RunsView({ open: () => Promise.resolve(""), refresh: () => Promise.resolve() });
  runs.show(list.runs);
  const rows = [...runs.element.querySelectorAll("tbody tr")];
  expect(rows.map((row) => (row as HTMLElement).dataset.status)).toEqual([
    "pending",
    "running",
    "failed",
    "succeeded",
  ]);
  expect(rows[2]?.textContent).toContain("2 of 3, 1 failed");
  expect(runs.element.textContent).toContain("236 older runs: book.runs() has them all.");
  runs.dispose();
});
