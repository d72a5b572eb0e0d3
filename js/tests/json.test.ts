import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import durations from "../../tests/fixtures/durations.json";
import { readError, readStack } from "../src/model/errors";
import { formatCountdown, formatDuration, formatSize, preview } from "../src/model/format";
import {
  countLines,
  ExactNumber,
  type Json,
  parseJson,
  writeJson,
  writePath,
  writePython,
} from "../src/model/json";

test("numbers keep their digits", () => {
  const value = parseJson('{"n":12345678901234567890,"x":1.50,"m":-0.0,"e":1e3}') as Record<
    string,
    Json
  >;
  expect(value.n).toBeInstanceOf(ExactNumber);
  expect(value.x).toBe(1.5);
  expect(value.e).toBe(1000);
  expect(writeJson(value, 0)).toContain("12345678901234567890");
});

test("what is no JSON is undefined", () => {
  expect(parseJson('{"cut": [1, 2')).toBeUndefined();
});

test("a key named __proto__ is a key", () => {
  const value = parseJson('{"__proto__":{"polluted":1}}') as Json;
  expect(writeJson(value, 0)).toBe('{"__proto__":{"polluted":1}}');
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test("JSON is written as Python", () => {
  expect(writePython(parseJson('{"a":[true,false,null,"true"],"b":1.5}') as Json)).toBe(
    '{"a": [True, False, None, "true"], "b": 1.5}',
  );
});

test.each<[string, number]>([
  ["null", 1],
  ['"a, {b"', 1],
  ["[]", 1],
  ['{"id":"p-17","region":"EU","plan":"gold"}', 3],
  ['{"a":{"b":1,"c":2},"d":3}', 4],
  ["[1, 2, 3]", 3],
  ['{"a": "x\\"y", "b": [1]}', 3],
])("%s takes %i lines", (text, lines) => expect(countLines(text, 5)).toBe(lines));

test("counting stops when it is enough", () => {
  expect(countLines(JSON.stringify(Array(1000).fill(1)), 5)).toBe(6);
});

test("paths are written as code", () => {
  expect(writePath(["rows", 3, "first name", "x"])).toBe('rows[3]["first name"].x');
});

test("previews are short", () => {
  expect(preview({ id: "p-17", list: [1, [2]] })).toBe('{id: "p-17", list: [1, [2]]}');
  expect(preview(Array(10_000).fill("word") as Json).length).toBeLessThan(300);
});

test.each(durations as [number, string][])("%d seconds are %s", (seconds, text) =>
  expect(formatDuration(seconds)).toBe(text),
);

test("a countdown ends at zero", () => {
  expect([formatCountdown(29.2), formatCountdown(-4), formatCountdown(1799)]).toEqual([
    "30 s",
    "0 s",
    "29 min 59 s",
  ]);
});

test("sizes are told in units", () => {
  expect([formatSize(12), formatSize(2345), formatSize(12_345_678)]).toEqual([
    "12 B",
    "2.3 kB",
    "12.3 MB",
  ]);
});

test("the user's own frames are told from a library's", () => {
  const own = readStack(
    'Traceback (most recent call last):\n  File "/v/site-packages/x.py", line 1, in f\n    f()\n' +
      '  File "/home/ada/a.py", line 2, in g\n    g()\n    ^^^\nValueError: no\n',
  ).map((line) => line.own);
  expect(own).toEqual([false, false, false, true, true, true, false]);
});

const isOwn = (file: string): boolean =>
  readStack(`  File "${file}", line 2, in g`)[0]?.own ?? false;

test("every file of the package is known as not the user's own, wherever it was installed", () => {
  const files = readdirSync("stepbook", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".py"))
    .concat("engine/execute.py", "values/types/arrays.py", "errors.py");
  expect(files.length).toBeGreaterThan(40);
  for (const root of ["/opt/v/site-packages/stepbook", "/home/ada/checkout/stepbook"]) {
    expect(files.filter((file) => isOwn(`${root}/${file}`))).toEqual([]);
  }
  expect(isOwn("C:\\src\\stepbook\\engine\\execute.py")).toBe(false);
});

test("a project that is called stepbook is the user's own", () => {
  for (const file of ["review.py", "notebooks/review.py", "scripts/model.py", "src/train.py"]) {
    expect(isOwn(`/home/ada/stepbook/${file}`)).toBe(true);
  }
  expect(readStack("Cell In[3], line 2, in score(x)")[0]?.own).toBe(true);
});

test("an error record without some fields is still read", () => {
  expect(readError('{"type":"KeyError"}')).toEqual({
    type: "KeyError",
    message: "",
    stack: "",
    notes: [],
  });
  expect(readError("no json")).toBeNull();
});
