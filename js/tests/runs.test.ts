import { expect, test } from "vitest";

import { found, lastSeconds } from "../src/model/runs";
import type { RunLine } from "../src/model/wire";

const run = (id: string, more: Partial<RunLine> = {}): RunLine => ({
  id,
  loop: "review",
  key: "null",
  status: "succeeded",
  created_at: 0,
  started_at: 0,
  completed_at: 1e6,
  steps: 2,
  succeeded: 2,
  failed: 0,
  total: 9,
  ...more,
});

test("runs are found by loop, key and id, and by status", () => {
  const runs = [run("run_a"), run("run_b", { key: '{"patient":"P-17"}', status: "failed" })];
  expect(found(runs, "p-17", null)).toEqual([runs[1]]);
  expect(found(runs, "RUN_A", null)).toEqual([runs[0]]);
  expect(found(runs, "", "failed")).toEqual([runs[1]]);
  expect(found(runs, "review", "running")).toEqual([]);
});

test("the last durations of a loop are its own, oldest first, without those that have not ended", () => {
  const runs = [
    run("d", { completed_at: 4e6 }),
    run("x", { loop: "other" }),
    run("c", { completed_at: null }),
    run("b", { completed_at: 2e6 }),
  ];
  expect(lastSeconds(runs, runs[0] as RunLine)).toEqual([2, 4]);
});
