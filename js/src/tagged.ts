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

/** Fetches the rows of a table from the one with this number on. */
export type MoreRows = (start: number) => Promise<Json[][]>;

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
        ? grid(names, rows, Number(shape[0] ?? rows.length), Number(shape[1] ?? 0), more)
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
function grid(
  names: readonly string[],
  rows: readonly Json[][],
  total: number,
  width: number,
  more?: MoreRows,
): HTMLElement {
  const columns = rows[0]?.length ?? 0;
  const cell = (value: Json): string => (typeof value === "string" ? value : preview(value, 60));
  const body = h("tbody", {});
  const note = h("span.sb-quiet", { role: "status" });
  const next = more && button("sb-action", {}, "Show more rows");
  let shown = 0;
  const add = (list: readonly Json[][]): void => {
    body.append(...list.map((row) => h("tr", {}, ...row.map((value) => h("td", {}, cell(value))))));
    shown += list.length;
    const left = [
      total > shown ? `${formatCount(total - shown)} more rows` : "",
      width > columns ? `${formatCount(width - columns)} more columns` : "",
    ].filter(Boolean);
    note.textContent = left.length ? `${left.join(" and ")} in the book` : "";
    if (next) next.hidden = total <= shown;
  };
  add(rows);
  next?.addEventListener("click", (event) => {
    event.stopPropagation(); // it stands in a tree, where a click folds
    note.textContent = "Asking the kernel…";
    more?.(shown).then(add, (error: unknown) => {
      note.textContent = error instanceof Error ? error.message : String(error);
    });
  });
  return h(
    "div",
    {},
    h(
      "div.sb-grid-box",
      { tabindex: "0", role: "group", "aria-label": "Table", "data-lm-suppress-shortcuts": "true" },
      h(
        "table.sb-grid",
        {},
        h("thead", {}, h("tr", {}, ...names.slice(0, columns).map((name) => h("th", { scope: "col" }, name)))),
        body,
      ),
    ),
    h("div.sb-grid-note", {}, note, next),
  );
}
