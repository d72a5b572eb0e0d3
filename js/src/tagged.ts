/**
 * Values that JSON alone cannot hold: `{"$stepbook": TYPE, ...}`, as the codec writes them. A type
 * that this file does not know is shown by its name and its fields.
 */

import { h } from "./dom";
import { formatCount, preview } from "./format";
import { isBranch, type Json } from "./json";

export interface Tagged {
  /** For one line. */
  short: HTMLElement;
  /** For an opened body. */
  full: HTMLElement;
}

/** The elements for a tagged value; null if it is none. */
export function tagged(value: Json): Tagged | null {
  if (!isBranch(value) || Array.isArray(value)) return null;
  const type = value["$stepbook"];
  if (typeof type !== "string") return null;
  const { $stepbook: _, ...rest } = value;
  const only = Object.values(rest);
  const text =
    only.length === 1 && !isBranch(only[0] as Json)
      ? String(only[0])
      : preview(rest, 120);
  const label = (): HTMLElement =>
    h("span.sb-tagged", {}, h("span.sb-tag", {}, type), ` ${text}`);
  return { short: label(), full: label() };
}

/** A small grid: column names, then rows of cells. */
export function grid(columns: readonly string[], rows: readonly Json[][], total: number): HTMLElement {
  const cell = (value: Json): string => (typeof value === "string" ? value : preview(value, 60));
  const table = h(
    "table.sb-grid",
    {},
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...rows.map((row) => h("tr", {}, ...row.map((value) => h("td", {}, cell(value))))),
    ),
  );
  const rest = total - rows.length;
  return h(
    "div.sb-grid-box",
    {},
    table,
    rest > 0 && h("div.sb-quiet", {}, `and ${formatCount(rest)} more rows`),
  );
}
