/**
 * The timeline as one element: the head, the list, the keys. Knows neither Jupyter nor the wire's
 * transport; whoever shows it feeds messages in and may lend a kernel to ask.
 */

import { makeScale, type Scale, type Span, spanOf } from "../model/layout";
import { estimateHeight } from "../model/rows";
import {
  ancestors,
  type Choice,
  type Entry,
  failureOf,
  isOpen,
  newChoice,
  nextFailed,
  type Timeline,
  visible,
} from "../model/state";
import type { Request, Row } from "../model/wire";
import type { BodyContext, Host } from "./body";
import { h, readerNodes, setText } from "./dom";
import { Header, stepsText } from "./header";
import { Kept } from "./keep";
import { List } from "./list";
import { type RowContext, RowView } from "./row";
import styles from "./styles.css";

const TICK_MS = 100;
/** The record is searched when nothing was typed for so long. */
const SEARCH_MS = 150;
/** The live region speaks at most so often. */
const SAY_MS = 3000;
/** An answer to an act stays at least so long, and until the step has been executed again. */
const ANSWER_MS = 10_000;
let views = 0;

/** What the kernel has said to an act, and when by its own clock. */
interface Answer {
  text: string;
  at: number;
}

export class View {
  readonly element: HTMLElement;
  private readonly kept: Kept;
  private readonly choice = newChoice();
  private readonly header: Header;
  private readonly list: List<RowView>;
  private readonly empty = h("div.sb-empty", {});
  private readonly notice = h("div.sb-notice", { role: "alert", hidden: true });
  private readonly said = h("div.sb-said", { role: "status", "aria-live": "polite" });
  private readonly answered = h("div.sb-said", { role: "status", "aria-live": "polite" });
  private readonly answers = new Map<number, Answer>();
  private readonly id = `sb-${Date.now().toString(36)}-${++views}`;
  private entries: Entry[] = [];
  private scale: Scale = makeScale([]);
  private scaleAt = 0;
  private frame = 0;
  /** The row that was gone to last; the next failed one is sought from there. */
  private current: number | null = null;
  private wasRunning = false;
  private saidAt = 0;
  private bars = true;
  /** What is said beside the number of rows that a search has found. */
  private searchNote = "";
  private searching: ReturnType<typeof setTimeout> | undefined;
  private readonly ticker: ReturnType<typeof setInterval>;

  constructor(
    private readonly timeline: Timeline,
    private readonly host: Host,
  ) {
    this.header = new Header({
      search: (query) => this.search(query),
      filter: (status) => this.choose({ status }),
      foldAll: (open) => this.foldAll(open),
      nextFailed: (step) => this.nextFailed(step),
      toggleBars: () => this.toggleBars(),
    });
    const context: RowContext & BodyContext = {
      ...host,
      toggle: (seq) => this.toggle(seq),
      focused: (seq) => {
        this.current = seq;
      },
      act: (seq, request) => this.act(seq, request),
      loaded: (seq, field, text) => {
        this.timeline.putBody(seq, field, text);
        this.changed();
      },
    };
    this.list = new List<RowView>({
      create: (seq) => new RowView(seq, this.id, context),
      isSpare: (view) => !view.isOpen,
      reuse: (view, seq) => view.standFor(seq),
      update: (view, entry) => this.drawRow(view, entry),
      estimate: (seq) => {
        const row = this.timeline.get(seq);
        return row ? estimateHeight(row, this.opened(row)) : 32;
      },
      held: () => this.held(),
    });
    this.kept = new Kept({
      classes: "sb-root",
      attributes: { role: "region", "aria-label": "Timeline", "data-bars": "shown" },
      children: [
        h("style", {}, styles),
        this.header.element,
        this.notice,
        this.list.element,
        this.empty,
        this.said,
        this.answered,
      ],
      arrived: () => this.list.settle(),
      besides: this.list.element,
    });
    this.element = this.kept.element;
    this.element.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("beforeprint", this.beforePrint);
    window.addEventListener("afterprint", this.afterPrint);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.draw();
  }

  /** Something in the timeline has changed: draw it with the next frame. */
  changed(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  /** Says something that is wrong above the list; an empty text takes it away. */
  say(text: string): void {
    setText(this.notice, text);
    this.notice.hidden = text === "";
  }

  dispose(): void {
    clearInterval(this.ticker);
    clearTimeout(this.searching);
    cancelAnimationFrame(this.frame);
    window.removeEventListener("beforeprint", this.beforePrint);
    window.removeEventListener("afterprint", this.afterPrint);
    this.list.dispose();
    this.kept.dispose();
  }

  private readonly beforePrint = (): void => this.list.expose(this.entries.length <= 5000);
  private readonly afterPrint = (): void => this.list.expose(false);

  private get now(): number {
    return this.timeline.stoppedAt ?? Date.now() * 1000 + this.timeline.clockOffset;
  }

  private opened(row: Row): boolean {
    return isOpen(row, this.choice);
  }

  private draw(): void {
    const { timeline } = this;
    const { run } = timeline;
    this.entries = visible(timeline, this.choice);
    this.rescale(true);
    const shown = { rows: this.entries.length, note: this.searchNote, bars: this.bars };
    this.header.update(timeline, this.choice, shown, this.now);
    const running = run?.status === "running";
    this.list.element.hidden = this.entries.length === 0;
    this.showList(running);
    this.element.setAttribute("aria-label", run ? `Timeline of ${run.loop}` : "Timeline");
    this.element.dataset.count = String(timeline.rows.size);
    this.element.dataset.rev = String(timeline.rev);
    this.empty.hidden = this.entries.length > 0;
    setText(
      this.empty,
      run === null
        ? "Waiting for the run."
        : timeline.rows.size > 0
          ? "No step matches."
          : running || run.status === "pending"
            ? "No step has run yet."
            : "This run has no steps.",
    );
    this.announce();
  }

  /**
   * Draws the rows. Whoever follows a run sees its last row, or what it failed at; so does whoever
   * opens a run that has failed.
   */
  private showList(running: boolean): void {
    const { list } = this;
    const isFirst = !list.hasBegun;
    const ends = this.wasRunning && !running;
    this.wasRunning = running;
    list.show(this.entries, running || ends);
    const failure = failureOf(this.timeline);
    if (failure !== undefined && (isFirst || (ends && list.isFollowing))) list.reveal(failure);
  }

  /** The rows with the focus and the ends of a selection of text. */
  private held(): number[] {
    return readerNodes()
      .filter((node) => this.list.element.contains(node))
      .map((node) =>
        (node instanceof Element ? node : node.parentElement)?.closest<HTMLElement>(".sb-row"),
      )
      .map((row) => Number(row?.dataset.seq));
  }

  private announce(): void {
    const { run } = this.timeline;
    const ended = run?.status === "succeeded" || run?.status === "failed";
    if (!run || (!ended && Date.now() - this.saidAt < SAY_MS)) return;
    this.saidAt = Date.now();
    const steps = stepsText(this.timeline);
    setText(this.said, `${run.loop} ${run.status}${steps && `, ${steps}`}`);
  }

  private drawRow(view: RowView, entry: Entry): void {
    const row = this.timeline.get(entry.seq);
    if (!row) return;
    view.update(row, {
      entry,
      open: this.opened(row),
      items: row.kind === "map" ? this.timeline.itemsOf(entry.seq) : null,
      scale: this.scale,
      now: this.now,
      answer: this.answerTo(row),
    });
  }

  private act(seq: number, request: Request): void {
    // The row stays in sight and open, whatever it becomes: it is where the reader looks.
    this.choice.open.set(seq, true);
    this.choice.kept.add(seq);
    this.answer(seq, "Asking the kernel…");
    this.host.request?.(request).then(
      (answer) => this.answer(seq, String(answer)),
      (error: unknown) => this.answer(seq, error instanceof Error ? error.message : String(error)),
    );
  }

  private answer(seq: number, text: string): void {
    this.answers.set(seq, { text, at: this.now });
    setText(this.answered, text);
    setTimeout(() => this.changed(), ANSWER_MS);
    this.changed();
  }

  /** What is said of a row beneath it. */
  private answerTo(row: Row): string {
    const answer = this.answers.get(row.seq);
    if (!answer) return "";
    const since = Math.max(row.started_at ?? 0, row.completed_at ?? 0);
    if (since <= answer.at || this.now - answer.at < ANSWER_MS * 1000) return answer.text;
    this.answers.delete(row.seq);
    return "";
  }

  /** Computes the scale again: after a change, and at intervals while something is running. */
  private rescale(changed: boolean): boolean {
    const { timeline } = this;
    // A hundred thousand spans take a while to sort: the more rows, the more seldom.
    const pause = Math.max(changed ? 0 : 250, timeline.roots.length / 20);
    if (Date.now() - this.scaleAt < pause) return false;
    const { now } = this;
    const spans: Span[] = [];
    const waits: Span[] = [];
    for (const seq of timeline.roots) {
      const row = timeline.get(seq) as Row;
      const span = spanOf(row, now);
      if (span) (row.kind === "scan" || row.kind === "sleep" ? waits : spans).push(span);
    }
    // Waiting counts as a pause, not as work, unless there is nothing else.
    this.scale = makeScale(spans.length ? spans : waits);
    this.scaleAt = Date.now();
    return true;
  }

  private tick(): void {
    if (document.hidden || this.timeline.run?.status !== "running" || !this.element.isConnected) {
      return;
    }
    const { now } = this;
    this.header.tick(now);
    const moved = this.timeline.steps.running > 0 && this.rescale(false);
    this.list.refresh((view, entry) => {
      const row = this.timeline.get(entry.seq);
      if (row && (moved || row.status === "running")) view.tick(now, this.scale);
    });
  }

  private choose(change: Partial<Pick<Choice, "query" | "found" | "status">>): void {
    Object.assign(this.choice, change);
    if ("query" in change || "status" in change) this.choice.kept.clear();
    this.changed();
  }

  /** Searches what the page holds at once; what it holds only the beginning of, in the record. */
  private search(query: string): void {
    clearTimeout(this.searching);
    const { record, files } = query.trim() ? this.timeline.lacks : { record: false, files: false };
    const ask = this.host.request;
    const always = files ? "; of values in files, the preview was searched" : "";
    this.searchNote = always;
    if (record)
      this.searchNote = ask ? ", searching long values…" : "; of long values, the beginning";
    this.choose({ query, found: new Set() });
    if (!(record && ask)) return;
    this.searching = setTimeout(() => {
      const done = (note: string, found: readonly number[]): void => {
        if (this.choice.query !== query) return;
        this.searchNote = note;
        this.choose({ found: new Set(found) });
      };
      ask({ type: "search", query }).then(
        (found) => done(always, found as number[]),
        () => done("; long values could not be searched", []),
      );
    }, SEARCH_MS);
  }

  private toggle(seq: number): void {
    const row = this.timeline.get(seq);
    if (!row) return;
    this.choice.open.set(seq, !this.opened(row));
    if (!this.opened(row)) this.answers.delete(seq);
    this.draw();
  }

  private foldAll(open: boolean): void {
    this.choice.open.clear();
    this.choice.everything = open;
    this.list.forgetHeights();
    this.draw();
  }

  private toggleBars(): void {
    this.bars = !this.bars;
    this.element.dataset.bars = this.bars ? "shown" : "hidden";
    this.changed();
  }

  private focusRow(seq: number | undefined): void {
    if (seq === undefined) return;
    this.list.reveal(seq)?.head.focus({ preventScroll: true });
  }

  private nextFailed(step: 1 | -1): void {
    const seq = nextFailed(this.timeline, this.choice, this.current, step);
    if (seq === undefined) return;
    this.current = seq;
    for (const above of ancestors(this.timeline, seq)) this.choice.open.set(above, true);
    this.draw();
    this.focusRow(seq);
  }

  /** Keys on rows; what is typed into fields is theirs. */
  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target === this.header.search) {
      if (event.key === "Escape" && this.header.search.value) {
        this.header.search.value = "";
        this.search("");
      } else if (event.key === "ArrowDown" || event.key === "Enter") {
        this.focusRow(this.entries[0]?.seq);
      } else return;
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (target.matches("input, textarea, select")) return;
    const act = this.actionFor(event.key, target);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  private actionFor(key: string, target: HTMLElement): (() => void) | undefined {
    const anywhere: Record<string, () => void> = {
      "/": () => this.header.search.focus(),
      e: () => this.foldAll(true),
      c: () => this.foldAll(false),
      n: () => this.nextFailed(1),
      N: () => this.nextFailed(-1),
      b: () => this.toggleBars(),
    };
    const seq = Number(target.closest<HTMLElement>(".sb-head")?.dataset.seq ?? Number.NaN);
    const row = this.timeline.get(seq);
    if (!row) return anywhere[key];
    const move = (step: number) => () => this.focusRow(this.list.neighbour(seq, step));
    const onRow: Record<string, () => void> = {
      ArrowDown: move(1),
      ArrowUp: move(-1),
      PageDown: move(this.list.page),
      PageUp: move(-this.list.page),
      Home: move(Number.NEGATIVE_INFINITY),
      End: move(Number.POSITIVE_INFINITY),
      ArrowRight: () => (this.opened(row) ? move(1)() : this.toggle(seq)),
      ArrowLeft: () =>
        this.opened(row) ? this.toggle(seq) : this.focusRow(this.timeline.parentOf(seq)),
    };
    return onRow[key] ?? anywhere[key];
  }
}
