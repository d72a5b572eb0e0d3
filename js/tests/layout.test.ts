import { expect, test } from "vitest";

import { join, makeScale } from "../src/model/layout";

const s = (start: number, end: number) => ({ start: start * 1e6, end: end * 1e6 });

test("work without a pause is drawn in proportion", () => {
  const scale = makeScale([s(0, 1), s(1, 4)]);
  expect([0, 1, 4].map((t) => scale.at(t * 1e6))).toEqual([0, 0.25, 1]);
  expect(scale.gaps).toEqual([]);
});

test("a long pause takes little room and is told", () => {
  const scale = makeScale([s(0, 10), s(3610, 3620)]);
  expect(scale.gaps).toHaveLength(1);
  expect(scale.gaps[0]?.seconds).toBe(3600);
  expect(scale.gapBefore(3610e6)).toBe(scale.gaps[0]);
  expect(scale.gapBefore(0)).toBeUndefined();
  expect(scale.at(10e6)).toBeCloseTo(0.4875);
  expect(scale.at(3610e6)).toBeCloseTo(0.5125);
  expect(scale.at(3620e6)).toBe(1);
});

test("time before and after is held at the ends", () => {
  const scale = makeScale([s(10, 20)]);
  expect([scale.at(0), scale.at(99e6)]).toEqual([0, 1]);
});

test("many pauses leave most of the width to the work", () => {
  const scale = makeScale(Array.from({ length: 100 }, (_, i) => s(i * 1000, i * 1000 + 10)));
  const gaps = scale.gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  expect(gaps).toBeLessThanOrEqual(0.301);
});

test("places never go backwards", () => {
  const scale = makeScale([s(0, 1), s(0.5, 3), s(100, 101), s(200, 200)]);
  let last = 0;
  for (let t = 0; t <= 200; t += 0.5) {
    const at = scale.at(t * 1e6);
    expect(at).toBeGreaterThanOrEqual(last);
    last = at;
  }
});

test("overlapping spans are joined", () => {
  expect(join([s(5, 6), s(0, 2), s(1, 3)])).toEqual([s(0, 3), s(5, 6)]);
});

test("nothing is drawn of nothing", () => {
  expect(makeScale([]).at(5)).toBe(0);
  expect(makeScale([s(1, 1)]).at(1e6)).toBe(0);
});
