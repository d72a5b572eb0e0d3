/**
 * Values that JSON alone cannot hold: `{"$stepbook": KIND, ...}`, as the codec writes them. A kind
 * that this file does not know is shown by its name and its fields.
 */

import { h } from "./dom";
import { formatCount, formatSize, preview } from "./format";
import { isBranch, type Json } from "./json";

const TAG = "$stepbook";

type Node = { [key: string]: Json };

export interface Tagged {
  /** For one line. */
  short: HTMLElement;
  /** For an opened body. */
  full: HTMLElement;
  /** What is inside, to be shown as a tree beneath the kind's name. */
  inner: Json[] | null;
}

/** True for the text of a tagged value. */
export function isTaggedText(text: string): boolean {
  return text.startsWith(`{"${TAG}"`);
}

/** The elements for a tagged value; null if it is none. */
export function tagged(value: Json): Tagged | null {
  if (!isBranch(value) || Array.isArray(value)) return null;
  const kind = value[TAG];
  if (typeof kind !== "string") return null;
  const { items, shape } = value;
  if (Array.isArray(items)) {
    const line = (): HTMLElement => told(kind, preview(items, 100));
    return { short: line(), full: h("span.sb-tag", {}, kind), inner: items };
  }
  if (Array.isArray(shape)) return shaped(kind, value, shape);
  const text = scalarText(kind, value);
  return { short: told(kind, text), full: told(kind, text), inner: null };
}

function told(kind: string, text: string): HTMLElement {
  return h("span.sb-tagged", {}, h("span.sb-tag", {}, kind), ` ${text}`);
}

function scalarText(kind: string, node: Node): string {
  const { [TAG]: _kind, shown, value, data, preview: sample, ...rest } = node;
  if (typeof shown === "string") return shown;
  if (value !== undefined && !isBranch(value)) return String(value);
  if (kind === "bytes" && typeof data === "string") {
    return formatSize(Math.floor((data.replace(/=+$/, "").length * 3) / 4));
  }
  if (typeof sample === "string") {
    const { bytes } = rest;
    return typeof bytes === "number" ? `${formatSize(bytes)}: ${sample}…` : `${sample}…`;
  }
  return preview(rest, 120);
}

/** Tables and arrays: how large they are, and the beginning as a grid. */
function shaped(kind: string, node: Node, shape: Json[]): Tagged {
  const size = shape.map((n) => formatCount(Number(n))).join(" × ");
  const names = columnNames(node);
  const sample = Array.isArray(node["preview"]) ? node["preview"] : [];
  const rows = sample.filter(Array.isArray) as Json[][];
  const type = typeof node["dtype"] === "string" ? ` of ${node["dtype"]}` : "";
  const line = `${size}${type}`;
  const inside = rows.length ? names.slice(0, 8).join(", ") : preview(sample, 80);
  return {
    short: told(kind, inside && inside !== "[]" ? `${line}: ${inside}` : line),
    full: h(
      "div.sb-shaped",
      {},
      told(kind, line),
      rows.length > 0
        ? grid(names, rows, Number(shape[0] ?? rows.length), Number(shape[1] ?? 0))
        : sample.length > 0 && h("div", {}, preview(sample, 400)),
    ),
    inner: null,
  };
}

function columnNames(node: Node): string[] {
  const { columns, dtypes } = node;
  const labels = isBranch(columns ?? null) && !Array.isArray(columns) ? (columns as Node)["labels"] : null;
  if (Array.isArray(labels)) {
    return labels.map((label) => (typeof label === "string" ? label : preview(label, 40)));
  }
  return isBranch(dtypes ?? null) && !Array.isArray(dtypes) ? Object.keys(dtypes as Node) : [];
}

/** A small grid: column names, then rows of cells, then how much is not shown. */
function grid(names: readonly string[], rows: readonly Json[][], total: number, width: number): HTMLElement {
  const shown = rows[0]?.length ?? 0;
  const cell = (value: Json): string => (typeof value === "string" ? value : preview(value, 60));
  const left = [
    total > rows.length ? `${formatCount(total - rows.length)} more rows` : "",
    width > shown ? `${formatCount(width - shown)} more columns` : "",
  ].filter(Boolean);
  return h(
    "div.sb-grid-box",
    { tabindex: "0", role: "group", "aria-label": "Table", "data-lm-suppress-shortcuts": "true" },
    h(
      "table.sb-grid",
      {},
      h("thead", {}, h("tr", {}, ...names.slice(0, shown).map((name) => h("th", { scope: "col" }, name)))),
      h(
        "tbody",
        {},
        ...rows.map((row) => h("tr", {}, ...row.map((value) => h("td", {}, cell(value))))),
      ),
    ),
    left.length > 0 && h("div.sb-quiet", {}, left.join(", ")),
  );
}
