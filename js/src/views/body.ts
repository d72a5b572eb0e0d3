/** What an opened row shows: the error, the return, when it ran, and what can be done with it. */

import { readError } from "../model/errors";
import { formatDuration, formatMoment, formatSize, formatTime } from "../model/format";
import { UNSTORED } from "../model/rows";
import type { MoreRows, Sample } from "../model/tagged";
import type { Request, Row } from "../model/wire";
import { type Act, buttons, deliveryForm } from "./acts";
import { arrange, button, copyButton, h, Part, setText } from "./dom";
import { PastTools } from "./past";
import { errorBlock } from "./trace";
import { valueBlock } from "./value";

/** What the view may ask of whoever shows it; without a kernel there is nothing to ask. */
export interface Host {
  /** Sends a request and gives its answer; rejects with a sentence for the reader. */
  request?: (request: Request) => Promise<unknown>;
}

export interface BodyContext extends Host {
  act: Act;
  /** The whole text of a body that was not sent has arrived. */
  loaded(seq: number, field: "return" | "error", text: string): void;
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
        note.replaceChildren(error instanceof Error ? error.message : String(error), again);
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
  return request && ((start) => request({ type: "rows", seq: row.seq, start }) as Promise<Sample>);
}

function facts(row: Row): string[] {
  const list: string[] = [];
  if (row.attempt > 1) list.push(`attempt ${row.attempt}`);
  if (row.started_at !== null) list.push(`started ${formatTime(row.started_at)}`);
  if (row.seconds !== null) list.push(`took ${formatDuration(row.seconds)}`);
  if (row.usual !== null) list.push(`${formatDuration(row.usual)} in the previous run`);
  if (row.reason !== null) list.push(`executed again: ${row.reason}`);
  if (row.stale) list.push(`changed since: ${row.changes ?? "its code"}`);
  if (row.verdict === "unknown")
    list.push(`not known to be the same: ${row.changes ?? "its code"}`);
  if (row.handled) list.push("the code went on after this failure");
  if (row.policy !== null && row.status === "succeeded") list.push(UNSTORED[row.policy]);
  return list;
}

/** The body of an opened row. What has not changed is not made again: folds and scrolls stay. */
export class Body {
  readonly element = h("div.sb-body", {});
  private readonly error = new Part();
  private readonly value = new Part();
  private readonly acts = new Part();
  private readonly delivery = new Part();
  private readonly facts = h("span", {});
  private readonly copyError: HTMLElement;
  private readonly meta: HTMLElement;
  private readonly tools = h("div.sb-acts", {});
  private readonly past: PastTools | undefined;

  constructor(
    private row: Row,
    private readonly context: BodyContext,
  ) {
    this.copyError = copyButton(
      () => "Copy error",
      () => readError(this.row.error ?? "")?.stack || (this.row.error ?? ""),
    );
    this.meta = h("div.sb-meta", {}, this.facts, this.copyError);
    if (context.request) this.past = new PastTools(row, context.request);
  }

  update(row: Row): void {
    const { context, past, tools } = this;
    this.row = row;
    setText(this.facts, facts(row).join(" · "));
    this.meta.title = row.started_at === null ? "" : formatMoment(row.started_at);
    this.copyError.hidden = row.error === null || row.error_size !== null;
    const parts = [this.errorOf(row), this.valueOf(row), this.meta];
    if (past) {
      past.update(row);
      const key = `${row.status} ${row.kind}`;
      const made = this.acts.of(key, () => h("span.sb-as-one", {}, ...buttons(row, context.act)));
      arrange(tools, [...past.toggles, made]);
      parts.push(
        tools,
        this.delivery.of(key, () => deliveryForm(row, context.act)),
        ...past.boxes,
      );
    }
    arrange(
      this.element,
      parts.filter((part) => part !== null),
    );
  }

  private errorOf(row: Row): HTMLElement | null {
    const { error, error_size: size } = row;
    return this.error.of(`${row.attempt} ${size} ${error}`, () => {
      if (error === null) return null;
      return size === null ? errorBlock(error) : partBlock(row, "error", error, size, this.context);
    });
  }

  private valueOf(row: Row): HTMLElement | null {
    const { return: value, return_size: size } = row;
    return this.value.of(`${row.attempt} ${size} ${value}`, () => {
      if (value === null) return null;
      if (size !== null) return partBlock(row, "return", value, size, this.context);
      return valueBlock("Return", value, moreOf(row, this.context));
    });
  }
}
