/**
 * Values that JSON alone cannot hold: `{"$stepbook": KIND, ...}`, as the codec writes them. A kind
 * that this file does not know is shown by its name and its fields.
 */

import { button, h } from "./dom";
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

/** Some rows of a table; `index` holds what pandas calls them by, one list of labels a row. */
export type Sample = Json[][] | { index: Json[][]; rows: Json[][] };

/** Fetches the rows of a table from the one with this number on. */
export type MoreRows = (start: number) => Promise<Sample>;

/** True for the text of a tagged value. */
export function isTaggedText(text: string): boolean {
  return text.startsWith(`{"${TAG}"`);
}

/**
 * The elements for a tagged value; null if it is none.
 *
 * @param more fetches what the preview of a table leaves out, where that can be asked for.
 */
export function tagged(value: Json, more?: MoreRows): Tagged | null {
  if (!isBranch(value) || Array.isArray(value)) return null;
  const kind = value[TAG];
  if (typeof kind !== "string") return null;
  const { items, shape } = value;
  if (Array.isArray(items)) {
    const line = (): HTMLElement => told(kind, preview(items, 100));
    return { short: line(), full: h("span.sb-tag", {}, kind), inner: items };
  }
  if (Array.isArray(shape)) return shaped(kind, value, shape, more);
  const text = scalarText(kind, value);
  const full = told(kind, text);
  if (value["file"] !== undefined) full.append(h("span.sb-quiet", {}, "  (the book has the whole)"));
  return { short: told(kind, text), full, inner: null };
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
function shaped(kind: string, node: Node, shape: Json[], more?: MoreRows): Tagged {
  const size = shape.map((n) => formatCount(Number(n))).join(" × ");
  const table = tableOf(node, shape);
  const { preview: sample = null } = node;
  const { rows } = labelled(sample, 0, table.index);
  const type = typeof node["dtype"] === "string" ? ` of ${node["dtype"]}` : "";
  const line = `${size}${type}`;
  const inside = rows.length ? table.columns.slice(0, 8).join(", ") : preview(sample, 80);
  const flat = Array.isArray(sample) && sample.length > 0 && h("div", {}, preview(sample, 400));
  return {
    short: told(kind, inside && inside !== "[]" ? `${line}: ${inside}` : line),
    full: h(
      "div.sb-shaped",
      {},
      told(kind, line),
      rows.length > 0 ? grid(table, sample, more) : flat,
    ),
    inner: null,
  };
}

/** How a table's rows are called: by labels that come with them, or by counting. */
interface Index {
  names: string[];
  /** The label of a row that comes without; null for tables whose rows have none. */
  label: ((row: number) => Json) | null;
}

interface Table {
  columns: string[];
  index: Index;
  height: number | null;
  width: number;
}

function tableOf(node: Node, shape: Json[]): Table {
  const [height, width] = shape;
  return {
    columns: columnNames(node),
    index: indexOf(node["index"] ?? null),
    height: typeof height === "number" ? height : null,
    width: typeof width === "number" ? width : 0,
  };
}

/** Reads what is recorded of the index of a pandas table. */
function indexOf(index: Json): Index {
  if (!isBranch(index) || Array.isArray(index)) return { names: [], label: null };
  const { start, step, names, name = null } = index;
  const text = (value: Json): string => (value === null ? "" : cellText(value));
  if (typeof start === "number" && typeof step === "number") {
    return { names: [text(name)], label: (row) => start + row * step };
  }
  const items = isBranch(names ?? null) && !Array.isArray(names) ? (names as Node)["items"] : names;
  return { names: Array.isArray(items) ? items.map(text) : [text(name)], label: null };
}

/** The rows of a sample, each with its labels. */
function labelled(sample: Json | Sample, first: number, index: Index): { labels: Json[][]; rows: Json[][] } {
  const list = (value: unknown): Json[][] =>
    Array.isArray(value) ? (value as Json[]).filter((row) => Array.isArray(row)) : [];
  if (isBranch(sample) && !Array.isArray(sample)) {
    return { labels: list(sample["index"]), rows: list(sample["rows"]) };
  }
  const rows = list(sample);
  const { label } = index;
  return { labels: label ? rows.map((_, i) => [label(first + i)]) : [], rows };
}

function columnNames(node: Node): string[] {
  const { columns, dtypes } = node;
  const labels = isBranch(columns ?? null) && !Array.isArray(columns) ? (columns as Node)["labels"] : null;
  if (Array.isArray(labels)) {
    return labels.map((label) => (typeof label === "string" ? label : preview(label, 40)));
  }
  return isBranch(dtypes ?? null) && !Array.isArray(dtypes) ? Object.keys(dtypes as Node) : [];
}

function cellText(value: Json): string {
  return typeof value === "string" ? value : preview(value, 60);
}

/** A small grid: column names, then rows of cells, then how much is not shown. */
function grid(table: Table, sample: Json, more?: MoreRows): HTMLElement {
  const first = labelled(sample, 0, table.index);
  const columns = first.rows[0]?.length ?? 0;
  const levels = first.labels[0]?.length ?? 0;
  const total = table.height ?? first.rows.length;
  const body = h("tbody", {});
  const note = h("span.sb-quiet", { role: "status" });
  const next = more && button("sb-action", {}, "Show more rows");
  let shown = 0;
  const add = (part: Json | Sample): void => {
    const { labels, rows } = labelled(part, shown, table.index);
    rows.forEach((row, i) => {
      const heads = (labels[i] ?? []).map((label) => h("th", { scope: "row" }, cellText(label)));
      body.append(h("tr", {}, ...heads, ...row.map((value) => h("td", {}, cellText(value)))));
    });
    shown += rows.length;
    const left = [
      total > shown ? `${formatCount(total - shown)} more rows` : "",
      table.width > columns ? `${formatCount(table.width - columns)} more columns` : "",
    ].filter(Boolean);
    note.textContent = left.length ? `${left.join(" and ")} in the book` : "";
    if (next) next.hidden = total <= shown;
  };
  add(sample);
  next?.addEventListener("click", (event) => {
    event.stopPropagation(); // it stands in a tree, where a click folds
    note.textContent = "Asking the kernel…";
    more?.(shown).then(add, (error: unknown) => {
      note.textContent = error instanceof Error ? error.message : String(error);
    });
  });
  const heads = Array.from({ length: levels }, (_, i) => table.index.names[i] ?? "");
  const names = [...heads, ...table.columns.slice(0, columns)];
  return h(
    "div",
    {},
    h(
      "div.sb-grid-box",
      { tabindex: "0", role: "group", "aria-label": "Table", "data-lm-suppress-shortcuts": "true" },
      h(
        "table.sb-grid",
        {},
        // A column without a name is called by what it holds, for those who hear it.
        h(
          "thead",
          {},
          h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name || h("span.sb-said", {}, "Row")))),
        ),
        body,
      ),
    ),
    h("div.sb-grid-note", {}, note, next),
  );
}
