/** One row of the list, as an element that is updated in place. */

import { errorLine } from "../model/errors";
import { formatCount, formatDuration, preview } from "../model/format";
import { parseJson } from "../model/json";
import { type Scale, spanOf } from "../model/layout";
import { mapSummary, peekOf, progressOf, timeText } from "../model/rows";
import type { Counts, Entry } from "../model/state";
import type { Row } from "../model/wire";
import { Body, type BodyContext } from "./body";
import { arrange, button, h, setText } from "./dom";
import { type Icon, icon } from "./icons";
import { tagged } from "./tagged";
import { lines } from "./tree";

export interface RowContext extends BodyContext {
  toggle(seq: number): void;
  focused(seq: number): void;
}

/** What a row shows beyond its record. */
export interface RowState {
  entry: Entry;
  open: boolean;
  items: Counts | null;
  scale: Scale;
  /** The kernel's clock. */
  now: number;
  /** What the kernel has said to an act on this step. */
  answer: string;
}

const WORDS: Record<Icon, string> = {
  pending: "pending",
  running: "running",
  succeeded: "succeeded",
  failed: "failed",
  waiting: "waiting",
  chevron: "",
  search: "",
  copy: "",
};

function glyphOf(row: Row): Icon {
  if (row.status !== "running") return row.status;
  return row.kind === "scan" || row.kind === "sleep" ? "waiting" : "running";
}

/** Whether the same stands beneath two closed rows. */
function samePeek(a: Row, b: Row): boolean {
  return (
    a.return === b.return &&
    a.error === b.error &&
    a.return_size === b.return_size &&
    a.status === b.status &&
    a.kind === b.kind
  );
}

/** How far a step says it is. */
class Progress {
  readonly element: HTMLElement;
  private readonly done = h("span", {});
  private readonly bar = h(
    "span.sb-progress",
    { role: "progressbar", "aria-valuemin": 0 },
    this.done,
  );
  private readonly text = h("span.sb-quiet", {});

  constructor() {
    this.element = h("div.sb-progress-box", { hidden: true }, this.bar, this.text);
  }

  update(row: Row): void {
    const progress = row.status === "running" ? progressOf(row) : null;
    this.element.hidden = !progress;
    if (!progress) return;
    const { done, total, message } = progress;
    const share = total ? Math.min(1, done / total) : 0;
    const said = total ? `${formatCount(done)} of ${formatCount(total)}` : formatCount(done);
    this.bar.setAttribute("aria-label", `Progress of ${row.name}`);
    this.bar.toggleAttribute("aria-valuemax", false);
    this.bar.toggleAttribute("aria-valuenow", false);
    if (total) {
      this.bar.setAttribute("aria-valuemax", String(total));
      this.bar.setAttribute("aria-valuenow", String(done));
    }
    this.done.style.width = `${(share * 100).toFixed(1)}%`;
    setText(this.text, message ? `${said}, ${message}` : said);
  }
}

/** The element of one row. */
export class RowView {
  readonly element: HTMLLIElement;
  readonly head: HTMLButtonElement;
  private readonly glyph = h("span.sb-glyph", { "aria-hidden": "true" });
  private readonly name = h("bdi.sb-name", {});
  private readonly word = h("span.sb-said", {});
  private readonly badges = h("span.sb-badges", {});
  private readonly bar = h("span.sb-bar", {});
  /** Stands where a pause was cut out of the time, before the row that ended it. */
  private readonly gap = h("span.sb-gap", { hidden: true });
  private readonly barBox = h("span.sb-bar-box", { "aria-hidden": "true" }, this.bar, this.gap);
  private readonly time = h("span.sb-time", {});
  private readonly below = h("div.sb-below", {});
  private readonly progress = new Progress();
  private readonly answer = h("div.sb-answer", { hidden: true });
  /** Kept while the row is closed, with what was unfolded in it. */
  private body: Body | null = null;
  private row: Row | null = null;
  private shown: RowState | null = null;

  /**
   * @param seq the row it stands for.
   * @param ids what the ids of its parts begin with.
   */
  constructor(
    private seq: number,
    private readonly ids: string,
    private readonly context: RowContext,
  ) {
    this.head = button(
      "sb-head",
      { "aria-expanded": "false" },
      icon("chevron"),
      this.glyph,
      h("span.sb-title", {}, this.name, this.badges, this.word),
      this.barBox,
      this.time,
    );
    this.element = h("li.sb-row", {}, this.head, this.progress.element, this.below, this.answer);
    this.head.addEventListener("click", () => context.toggle(this.seq));
    this.head.addEventListener("focus", () => context.focused(this.seq));
    this.standFor(seq);
  }

  /** Whether it is open: then there may be something folded, typed or loaded in it. */
  get isOpen(): boolean {
    return this.shown?.open ?? false;
  }

  /** Makes it stand for a row; `update` then writes all of it. */
  standFor(seq: number): void {
    this.seq = seq;
    this.row = this.shown = this.body = null;
    this.element.dataset.seq = this.head.dataset.seq = String(seq);
    this.below.id = `${this.ids}-${seq}`;
    this.head.setAttribute("aria-controls", this.below.id);
  }

  /** Brings the element up to date; what has not changed is left alone. */
  update(row: Row, state: RowState): void {
    const { entry, open } = state;
    const { element } = this;
    const before = this.row;
    const opened = this.shown?.open;
    if (before?.status !== row.status || before.kind !== row.kind) {
      const glyph = glyphOf(row);
      element.dataset.status = row.status;
      element.dataset.glyph = glyph;
      this.glyph.replaceChildren(icon(glyph));
      setText(this.word, `, ${WORDS[glyph]}`);
    }
    setText(this.name, row.item !== null && row.name === "" ? row.item : row.name);
    this.name.title = row.name;
    element.style.setProperty("--sb-depth", String(entry.depth));
    element.setAttribute("aria-posinset", String(entry.position));
    element.setAttribute("aria-setsize", String(entry.siblings));
    element.setAttribute("aria-level", String(entry.depth + 1));
    this.head.setAttribute("aria-expanded", String(open));
    this.writeBadges(row, state.items);
    this.row = row;
    this.shown = state;
    setText(this.answer, state.answer);
    this.answer.hidden = state.answer === "";
    if (open) {
      this.body ??= new Body(row, this.context);
      this.body.update(row);
      arrange(this.below, [this.body.element]);
    } else if (opened !== false || !before || !samePeek(before, row)) this.writePeek(row);
    this.tick(state.now, state.scale);
  }

  /** Moves what moves by itself: the bar, the duration, the countdown. */
  tick(now: number, scale: Scale): void {
    const { row } = this;
    if (!row) return;
    setText(this.time, timeText(row, now));
    const span = spanOf(row, now);
    this.bar.hidden = !span;
    const gap = span ? scale.gapBefore(span.start) : undefined;
    this.gap.hidden = !gap;
    if (!span) return;
    const from = scale.at(span.start);
    const to = scale.at(span.end);
    // What takes no time at all still shows, also at the very end.
    this.bar.style.insetInlineStart = `min(${(from * 100).toFixed(2)}%, 100% - 2px)`;
    this.bar.style.width = `${Math.max(0, (to - from) * 100).toFixed(2)}%`;
    if (!gap) return;
    // The mark has a least width: it ends where the bar begins, and never lies on it.
    this.gap.style.insetInlineEnd = `${((1 - gap.to) * 100).toFixed(2)}%`;
    this.gap.style.width = `${((gap.to - gap.from) * 100).toFixed(2)}%`;
    this.gap.title = `${formatDuration(gap.seconds)} without work, left out of the bars`;
  }

  private writeBadges(row: Row, items: Counts | null): void {
    const texts: string[] = [];
    if (row.attempt > 1) texts.push(`attempt ${row.attempt}`);
    if (row.stale) texts.push("stale");
    if (row.verdict === "unknown") texts.push("unknown");
    if (row.handled) texts.push("handled");
    if (row.policy !== null && row.status === "succeeded") texts.push("not stored");
    if (row.return === "null" && row.status === "succeeded") texts.push("null");
    if (items && row.kind === "map") texts.push(mapSummary(row, items));
    if (row.status === "running" && row.usual !== null) {
      texts.push(`${formatDuration(row.usual)} last time`);
    }
    if (this.badges.textContent !== texts.join("")) {
      this.badges.replaceChildren(
        ...texts.map((text) =>
          h("span.sb-badge", { "data-badge": text.split(" ", 1)[0] as string }, text),
        ),
      );
    }
    this.progress.update(row);
  }

  private writePeek(row: Row): void {
    const peek = peekOf(row);
    if (row.error !== null && row.status === "failed") {
      this.below.replaceChildren(h("div.sb-line-peek", { dir: "auto" }, errorLine(row.error)));
    } else if (peek === "none") this.below.replaceChildren();
    else {
      const text = row.return as string;
      const value = row.return_size === null ? parseJson(text) : undefined;
      if (value === undefined) this.below.replaceChildren(h("div.sb-line-peek", {}, text));
      else if (peek === "lines") this.below.replaceChildren(lines(value));
      else {
        const special = tagged(value);
        this.below.replaceChildren(
          h("div.sb-line-peek", {}, special ? special.short : preview(value)),
        );
      }
    }
  }
}
