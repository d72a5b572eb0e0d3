/**
 * Tagged values as elements. A kind that this file does not know is shown by its name and its fields.
 */

import { formatCount, preview } from "../model/format";
import { isBranch, type Json } from "../model/json";
import {
  cellText,
  labelled,
  type MoreRows,
  type Node,
  type Sample,
  scalarText,
  sealedText,
  TAG,
  type Table,
  tableOf,
} from "../model/tagged";
import { button, h } from "./dom";

export interface Tagged {
  /** For one line. */
  short: HTMLElement;
  /** For an opened body. */
  full: HTMLElement;
  /** What is inside, to be shown as a tree beneath the kind's name. */
  inner: Json[] | null;
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
  if (kind === "sealed") return sealed(value);
  const { items, shape } = value;
  if (Array.isArray(items)) {
    const line = (): HTMLElement => told(kind, preview(items, 100));
    return { short: line(), full: h("span.sb-tag", {}, kind), inner: items };
  }
  if (Array.isArray(shape)) return shaped(kind, value, shape, more);
  const text = scalarText(kind, value);
  const full = told(kind, text);
  if (value.file !== undefined) full.append(h("span.sb-quiet", {}, "  (the book has the whole)"));
  return { short: told(kind, text), full, inner: null };
}

/** A sealed pickle: what was recorded of it to look at. Nothing of it is loaded for that. */
function sealed(node: Node): Tagged {
  const { head, text, packages } = sealedText(node);
  const line = (): HTMLElement => told("sealed", [head, text].filter(Boolean).join(" "));
  const full = h(
    "div.sb-shaped",
    {},
    told("sealed", head),
    text !== "" && h("div", {}, text),
    packages !== "" && h("div.sb-quiet", {}, packages),
  );
  return { short: line(), full, inner: null };
}

function told(kind: string, text: string): HTMLElement {
  return h("span.sb-tagged", {}, h("span.sb-tag", {}, kind), ` ${text}`);
}

/** Tables and arrays: how large they are, and the beginning as a grid. */
function shaped(kind: string, node: Node, shape: Json[], more?: MoreRows): Tagged {
  const size = shape.map((n) => formatCount(Number(n))).join(" × ");
  const table = tableOf(node, shape);
  const { preview: sample = null } = node;
  const { rows } = labelled(sample, 0, table.index);
  const type = typeof node.dtype === "string" ? ` of ${node.dtype}` : "";
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
          h(
            "tr",
            {},
            ...names.map((name) => h("th", { scope: "col" }, name || h("span.sb-said", {}, "Row"))),
          ),
        ),
        body,
      ),
    ),
    h("div.sb-grid-note", {}, note, next),
  );
}
