/** One row of the list, as an element that is updated in place. */

import { bodyOf, type BodyContext } from "./body";
import { button, h, setText } from "./dom";
import { formatCount, formatCountdown, formatDuration, formatElapsed, plural, preview } from "./format";
import { icon, type Icon } from "./icons";
import { countLines, isBranch, parseJson, type Json } from "./json";
import { spanOf, type Scale } from "./layout";
import type { Counts, Entry } from "./state";
import { isTaggedText, tagged } from "./tagged";
import { errorLine } from "./trace";
import { lines } from "./tree";
import type { Row } from "./wire";

/** A return of up to so many lines stands open beneath its row. */
export const OPEN_LINES = 5;
/** Texts longer than this are not looked at for how many lines they take. */
const OPEN_CHARS = 600;

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
}

/** How the return of a closed row is shown. */
export function peekOf(row: Row): "none" | "lines" | "line" {
  if (row.return === null || row.return === "null" || row.kind === "map") return "none";
  if (row.return_size !== null || row.return.length > OPEN_CHARS) return "line";
  if (isTaggedText(row.return)) return "line";
  return countLines(row.return, OPEN_LINES) <= OPEN_LINES ? "lines" : "line";
}

/** A height near enough to the real one that the list does not jump when rows are measured. */
export function estimateHeight(row: Row, open: boolean): number {
  if (open) return 31 + (row.error ? 220 : 0) + (row.return ? 110 : 0) + 30;
  // Asked of every row whenever one is measured; a row that changes is another object.
  let height = closedHeights.get(row);
  if (height === undefined) closedHeights.set(row, (height = closedHeight(row)));
  return height;
}

const closedHeights = new WeakMap<Row, number>();

function closedHeight(row: Row): number {
  const peek = peekOf(row);
  if (row.error !== null && row.status === "failed") return 53;
  if (peek === "none") return 31;
  return peek === "line" ? 53 : 36 + 18 * countLines(row.return as string, OPEN_LINES);
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

/** "9,998 of 10,000, 2 failed" for a map. */
export function mapSummary(row: Row, items: Counts): string {
  const known = items.pending + items.running + items.succeeded + items.failed;
  const total = Math.max(known, progressOf(row)?.total ?? 0);
  const done = `${formatCount(items.succeeded)} of ${plural(total, "item")}`;
  return items.failed ? `${done}, ${formatCount(items.failed)} failed` : done;
}

/** What a step said about how far it is. */
export function progressOf(row: Row): { done: number; total: number | null; message: string } | null {
  const value = row.progress === null ? undefined : parseJson(row.progress);
  if (value === undefined || !isBranch(value) || Array.isArray(value)) return null;
  const { done, total, message } = value as Record<string, Json>;
  if (typeof done !== "number") return typeof message === "string" ? { done: 0, total: null, message } : null;
  return {
    done,
    total: typeof total === "number" ? total : null,
    message: typeof message === "string" ? message : "",
  };
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
  private readonly progress = h("div.sb-progress-box", { hidden: true });
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
    this.element = h("li.sb-row", {}, this.head, this.progress, this.below);
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
    this.row = this.shown = null;
    this.element.dataset["seq"] = this.head.dataset["seq"] = String(seq);
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
      element.dataset["status"] = row.status;
      element.dataset["glyph"] = glyph;
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
    const same =
      before !== null &&
      opened === open &&
      before.return === row.return &&
      before.error === row.error &&
      before.return_size === row.return_size &&
      before.error_size === row.error_size &&
      before.status === row.status &&
      before.stale === row.stale &&
      before.handled === row.handled &&
      before.attempt === row.attempt;
    if (!same) this.writeBelow(row, open);
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
    if (row.handled) texts.push("handled");
    if (row.return === "null" && row.status === "succeeded") texts.push("null");
    if (items && row.kind === "map") texts.push(mapSummary(row, items));
    if (row.status === "running" && row.usual !== null) {
      texts.push(`${formatDuration(row.usual)} last time`);
    }
    if (this.badges.textContent !== texts.join("")) {
      this.badges.replaceChildren(
        ...texts.map((text) => h("span.sb-badge", { "data-badge": text.split(" ", 1)[0] as string }, text)),
      );
    }
    const progress = row.status === "running" ? progressOf(row) : null;
    this.progress.hidden = !progress;
    if (!progress) return;
    const share = progress.total ? Math.min(1, progress.done / progress.total) : 0;
    const said = progress.total
      ? `${formatCount(progress.done)} of ${formatCount(progress.total)}`
      : formatCount(progress.done);
    this.progress.replaceChildren(
      h(
        "span.sb-progress",
        {
          role: "progressbar",
          "aria-label": `Progress of ${row.name}`,
          "aria-valuemin": 0,
          "aria-valuemax": progress.total ?? null,
          "aria-valuenow": progress.total ? progress.done : null,
        },
        h("span", { style: `width:${(share * 100).toFixed(1)}%` }),
      ),
      h("span.sb-quiet", {}, progress.message ? `${said}, ${progress.message}` : said),
    );
  }

  private writeBelow(row: Row, open: boolean): void {
    if (open) {
      this.below.replaceChildren(bodyOf(row, this.context));
      return;
    }
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
        this.below.replaceChildren(h("div.sb-line-peek", {}, special ? special.short : preview(value)));
      }
    }
  }
}

/** What stands at the end of a row. */
export function timeText(row: Row, now: number): string {
  if (row.status === "running" && row.started_at !== null) {
    if (row.expires_at !== null) return `${formatCountdown((row.expires_at - now) / 1e6)} left`;
    return formatElapsed((now - row.started_at) / 1e6);
  }
  return row.seconds === null ? "" : formatDuration(row.seconds);
}
