import { expect, test } from "vitest";

import { Heights } from "../src/model/heights";

test("rows stand one beneath the other, by what was measured or else thought", () => {
  const heights = new Heights();
  heights.show([7, 8, 9], (key) => key * 10);
  expect([heights.start(0), heights.start(1), heights.start(2), heights.total]).toEqual([
    0, 70, 150, 240,
  ]);
  expect(heights.measure(1, 100)).toBe(true);
  expect(heights.measure(1, 100)).toBe(false);
  expect([heights.start(1), heights.start(2), heights.total]).toEqual([70, 170, 260]);
  // What was measured is known by the row, wherever it stands then.
  heights.show([8, 7], () => 30);
  expect([heights.start(1), heights.total]).toEqual([100, 130]);
  heights.forget();
  heights.show([8, 7], () => 30);
  expect(heights.total).toBe(60);
});

test("a row is found by where it stands, the ends hold", () => {
  const heights = new Heights();
  expect(heights.at(5)).toBe(0);
  heights.show([1, 2, 3], () => 10);
  expect([-5, 0, 9.9, 10, 29, 30, 1000].map((at) => heights.at(at))).toEqual([0, 0, 0, 1, 2, 2, 2]);
});

test("a hundred thousand rows are found while they are measured", () => {
  const heights = new Heights();
  heights.show(
    Array.from({ length: 100_000 }, (_, i) => i),
    () => 31,
  );
  for (let i = 0; i < 60; i++) {
    heights.measure(i, 53);
    expect(heights.at(heights.total - 1)).toBe(99_999);
  }
  expect(heights.total).toBe(31 * 100_000 + 60 * 22);
}, 30_000);
