/**
 * Values that JSON alone cannot hold: `{"$stepbook": KIND, ...}`, as the codec writes them. Pure.
 */

import { formatSize, preview } from "./format";
import { isBranch, type Json } from "./json";

/** Marks a value that JSON alone cannot hold; its kind stands behind it. */
export const TAG = "$stepbook";

export type Node = { [key: string]: Json };

/** Some rows of a table; `index` holds what pandas calls them by, one list of labels a row. */
export type Sample = Json[][] | { index: Json[][]; rows: Json[][] };

/** Fetches the rows of a table from the one with this number on. */
export type MoreRows = (start: number) => Promise<Sample>;

/** True for the text of a tagged value. */
export function isTaggedText(text: string): boolean {
  return text.startsWith(`{"${TAG}"`);
}

/** A tagged value that holds no others, in a few words. */
export function scalarText(kind: string, node: Node): string {
  const { [TAG]: _kind, shown, value, data, preview: sample, ...rest } = node;
  if (typeof shown === "string") return shown;
  if (value !== undefined && !isBranch(value)) return String(value);
  if (kind === "bytes" && typeof data === "string") {
    return formatSize(Math.floor((data.replace(/[=]+$/, "").length * 3) / 4));
  }
  if (typeof sample === "string") {
    const { bytes } = rest;
    return typeof bytes === "number" ? `${formatSize(bytes)}: ${sample}…` : `${sample}…`;
  }
  return preview(rest, 120);
}

/** What a sealed pickle tells of its value: class and shape, how it shows itself, its packages. */
export function sealedText(node: Node): { head: string; text: string; packages: string } {
  const { class: name, shape, repr, packages } = node;
  const size = Array.isArray(shape) && shape.length ? ` ${shape.map(String).join(" × ")}` : "";
  const versions = isBranch(packages ?? null) && !Array.isArray(packages) ? (packages as Node) : {};
  return {
    head: `${typeof name === "string" ? name : "a value"}${size}`,
    text: typeof repr === "string" ? repr : "",
    packages: Object.entries(versions)
      .map(([packageName, version]) => `${packageName} ${String(version)}`.trim())
      .join(", "),
  };
}

/** How a table's rows are called: by labels that come with them, or by counting. */
interface Index {
  names: string[];
  /** The label of a row that comes without; null for tables whose rows have none. */
  label: ((row: number) => Json) | null;
}

export interface Table {
  columns: string[];
  index: Index;
  height: number | null;
  width: number;
}

export function tableOf(node: Node, shape: Json[]): Table {
  const [height, width] = shape;
  return {
    columns: columnNames(node),
    index: indexOf(node.index ?? null),
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
  const items = isBranch(names ?? null) && !Array.isArray(names) ? (names as Node).items : names;
  return { names: Array.isArray(items) ? items.map(text) : [text(name)], label: null };
}

/** The rows of a sample, each with its labels. */
export function labelled(
  sample: Json | Sample,
  first: number,
  index: Index,
): { labels: Json[][]; rows: Json[][] } {
  const list = (value: unknown): Json[][] =>
    Array.isArray(value) ? (value as Json[]).filter((row) => Array.isArray(row)) : [];
  if (isBranch(sample) && !Array.isArray(sample)) {
    return { labels: list(sample.index), rows: list(sample.rows) };
  }
  const rows = list(sample);
  const { label } = index;
  return { labels: label ? rows.map((_, i) => [label(first + i)]) : [], rows };
}

function columnNames(node: Node): string[] {
  const { columns, dtypes } = node;
  const labels =
    isBranch(columns ?? null) && !Array.isArray(columns) ? (columns as Node).labels : null;
  if (Array.isArray(labels)) {
    return labels.map((label) => (typeof label === "string" ? label : preview(label, 40)));
  }
  return isBranch(dtypes ?? null) && !Array.isArray(dtypes) ? Object.keys(dtypes as Node) : [];
}

export function cellText(value: Json): string {
  return typeof value === "string" ? value : preview(value, 60);
}
