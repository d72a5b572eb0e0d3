/** What an opened row shows: the error, the return, when it ran, and what can be done with it. */

import { actions } from "./acts";
import { button, copyButton, h } from "./dom";
import { formatDuration, formatMoment, formatSize, formatTime } from "./format";
import { parseJson, writeJson, writePython, type Json } from "./json";
import { pastOf } from "./past";
import type { MoreRows } from "./tagged";
import { errorBlock, readError } from "./trace";
import { tree } from "./tree";
import type { Request, Row } from "./wire";

/** What the view may ask of whoever shows it; without a kernel there is nothing to ask. */
export interface Host {
  /** Sends a request and gives its answer; rejects with a sentence for the reader. */
  request?: (request: Request) => Promise<unknown>;
}

export interface BodyContext extends Host {
  /** The whole text of a body that was not sent has arrived. */
  loaded(seq: number, field: "return" | "error", text: string): void;
}

/** A value as JSON with a heading: the tree, or the text if it is no JSON. */
export function valueBlock(label: string, text: string, more?: MoreRows): HTMLElement {
  const value = parseJson(text);
  return h(
    "div.sb-value",
    {},
    h(
      "div.sb-value-head",
      {},
      h("span.sb-label", {}, label),
      copyButton("Copy JSON", () => (value === undefined ? text : writeJson(value))),
      value !== undefined && copyButton("Copy as Python", () => writePython(value)),
    ),
    value === undefined ? h("pre.sb-plain", {}, text) : tree(value, label, more),
  );
}

/** The beginning of a text that was not sent whole, and a way to the rest. */
function partBlock(
  row: Row,
  field: "return" | "error",
  text: string,
  size: number,
  context: BodyContext,
): HTMLElement {
  const note = h("div.sb-quiet", { role: "status" });
  const load = (): void => {
    note.textContent = "Loading…";
    context.request?.({ type: "body", seq: row.seq, field }).then(
      (whole) => context.loaded(row.seq, field, String(whole)),
      (error: unknown) => {
        note.replaceChildren(
          error instanceof Error ? error.message : String(error),
          again,
        );
      },
    );
  };
  const again = button("sb-action", {}, "Try again");
  again.addEventListener("click", load);
  const element = h(
    "div.sb-value",
    {},
    h("div.sb-value-head", {}, h("span.sb-label", {}, field === "return" ? "Return" : "Error")),
    field === "error" ? errorBlock(text) : h("div.sb-plain.sb-cut", {}, `${text}…`),
    note,
  );
  if (context.request) load();
  else {
    note.textContent = `The beginning of ${formatSize(size)}; the book has the whole.`;
  }
  return element;
}

/** Asks the kernel for more rows of the table that a step has returned. */
function moreOf(row: Row, { request }: Host): MoreRows | undefined {
  return request && ((start) => request({ type: "rows", seq: row.seq, start }) as Promise<Json[][]>);
}

function facts(row: Row): string[] {
  const list: string[] = [];
  if (row.attempt > 1) list.push(`attempt ${row.attempt}`);
  if (row.started_at !== null) list.push(`started ${formatTime(row.started_at)}`);
  if (row.seconds !== null) list.push(`took ${formatDuration(row.seconds)}`);
  if (row.usual !== null) list.push(`${formatDuration(row.usual)} in the previous run`);
  if (row.stale) list.push("its code has changed since");
  if (row.handled) list.push("the code went on after this failure");
  return list;
}

/** Builds the body of an opened row. */
export function bodyOf(row: Row, context: BodyContext): HTMLElement {
  const parts: HTMLElement[] = [];
  if (row.error !== null) {
    parts.push(
      row.error_size === null
        ? errorBlock(row.error)
        : partBlock(row, "error", row.error, row.error_size, context),
    );
  }
  if (row.return !== null) {
    parts.push(
      row.return_size === null
        ? valueBlock("Return", row.return, moreOf(row, context))
        : partBlock(row, "return", row.return, row.return_size, context),
    );
  }
  const meta = h(
    "div.sb-meta",
    { title: row.started_at === null ? null : formatMoment(row.started_at) },
    h("span", {}, facts(row).join(" · ")),
  );
  const { error } = row;
  if (error !== null && row.error_size === null) {
    meta.append(copyButton("Copy error", () => readError(error)?.stack || error));
  }
  parts.push(meta);
  if (context.request) {
    const past = pastOf(row, context.request);
    const acts = actions(row, context.request);
    acts.prepend(...past.toggles);
    parts.push(acts, ...past.boxes);
  }
  return h("div.sb-body", {}, ...parts);
}
