import { expect, test } from "vitest";
import fixture from "../../tests/fixtures/wire.json";
import { FIELDS, readMessage, readRows, type Snapshot, WireError } from "../src/model/wire";

test("the columns are those that Python writes", () => {
  expect(fixture.snapshot.fields).toEqual([...FIELDS]);
});

test("every message of the fixture is read", () => {
  for (const message of Object.values(fixture)) expect(readMessage(message)).toBe(message);
});

test("rows become records", () => {
  const rows = readRows(readMessage(fixture.snapshot) as Snapshot);
  expect(rows[0]).toMatchObject({
    seq: 1,
    name: "Load profile",
    status: "succeeded",
    seconds: 0.212,
  });
  expect(rows.find((row) => row.name === "Train")).toMatchObject({
    usual: 5.25,
    stale: true,
    verdict: "stale",
    changes: "K: 2 -> 10",
    reason: "its attempt 1 failed",
  });
});

test("a column that is missing is null, one that is unknown is left out", () => {
  const [row] = readRows({ fields: ["name", "seq", "colour"], rows: [["A", 1, "red"]] });
  expect(row).toMatchObject({ seq: 1, name: "A", error: null });
  expect(row).not.toHaveProperty("colour");
});

test.each([[{ v: 2, type: "snapshot" }], [{ v: 1, type: "party" }], [null], ["text"]])(
  "%j is refused",
  (value) => expect(() => readMessage(value)).toThrow(WireError),
);
