/**
 * The list: only the rows near the window are elements. Heights are measured, so rows may open.
 *
 * Where the reader is, is kept as a row and a distance from it, never read back from the element:
 * one that is hidden or taken out of the page says 0.
 */

import { Heights } from "../model/heights";
import type { Entry } from "../model/state";
import { arrange, h } from "./dom";

/** Rows that were scrolled away open are kept for a while, with what was folded in them. */
const KEPT_ROWS = 200;
/** So many rows beyond the window are drawn, so that scrolling a little shows no gap. */
const MORE_ROWS = 6;
/** After a jump they follow when nothing has moved for so long. */
const MORE_MS = 100;
/** How near the end counts as being at the end, in pixels. */
const NEAR_END = 12;
/** Measuring rows may bring others into the window, which are measured in turn. */
const MOST_ROUNDS = 4;

/** One row's element, and how to bring it up to date. */
export interface RowHandle {
  element: HTMLElement;
}

export interface ListOptions<R extends RowHandle> {
  create(seq: number): R;
  /** Whether the element may stand for another row when this one is scrolled away. */
  isSpare(row: R): boolean;
  /** Makes an element stand for another row, and forget all it knew. */
  reuse(row: R, seq: number): void;
  update(row: R, entry: Entry): void;
  estimate(seq: number): number;
  /** Rows that stay in the page wherever the reader scrolls: those with the focus, a selection. */
  held(): readonly number[];
}

/** A row, and how far beneath its top the window begins. */
interface Place {
  seq: number;
  offset: number;
}

export class List<R extends RowHandle> {
  /** What scrolls. */
  readonly element: HTMLElement;
  private readonly items: HTMLOListElement;
  private readonly rows = new Map<number, R>();
  private readonly heights = new Heights();
  private readonly observer: ResizeObserver;
  private entries: readonly Entry[] = [];
  /** Where each row stands, by its sequence number. */
  private index: number[] = [];
  /** The rows that are in the page, in order; those in the window are `from` and `to` and between. */
  private drawn: number[] = [];
  private from = 0;
  private to = 0;
  private place: Place | "top" | "end" = "top";
  /** Where the window begins by that. */
  private top = 0;
  private room = 600;
  private width = 0;
  /** Hidden, or out of the page: what the element says of itself is not true. */
  private away = true;
  private following = true;
  private begun = false;
  private everything = false;
  /** Sizes are being told: what is watched now would be told in the same round. */
  private telling = false;
  private more: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: ListOptions<R>) {
    this.items = h("ol.sb-list", { role: "list" });
    this.element = h("div.sb-scroll", {}, this.items);
    this.observer = new ResizeObserver((changes) => this.resized(changes));
    this.observer.observe(this.element);
    this.element.addEventListener("scroll", () => this.look() && this.draw(false), {
      passive: true,
    });
  }

  /**
   * Shows these rows; the reader's place stays where it is, or at the end if that is where it was.
   *
   * @param follow whether a reader at the end is taken along.
   */
  show(entries: readonly Entry[], follow: boolean): void {
    this.look();
    this.entries = entries;
    this.index = [];
    for (let i = 0; i < entries.length; i++) this.index[(entries[i] as Entry).seq] = i;
    this.heights.show(
      entries.map((entry) => entry.seq),
      this.options.estimate,
    );
    if (this.begun && follow && this.following && !this.isHeld) this.place = "end";
    this.draw(true);
    if (this.begun || entries.length === 0) return;
    // Whoever opens a timeline begins at its top; who then is at its end is taken along.
    this.begun = true;
    this.following = this.isAtEnd;
  }

  /** Whether any rows were shown. */
  get hasBegun(): boolean {
    return this.begun;
  }

  /** Whether the reader is at the end, and is taken along. */
  get isFollowing(): boolean {
    return this.following && !this.isHeld;
  }

  /** Puts the reader where they were: the element was hidden, or has another place in the page. */
  settle(): void {
    this.away = true;
    if (this.look()) this.draw(false);
  }

  /** Brings the rows in the page up to date. */
  refresh(visit: (row: R, entry: Entry) => void): void {
    for (const i of this.drawn) {
      const entry = this.entries[i];
      const row = entry && this.rows.get(entry.seq);
      if (entry && row) visit(row, entry);
    }
  }

  /** Forgets how high rows are: after a change that concerns them all. */
  forgetHeights(): void {
    this.heights.forget();
  }

  /** Puts every row into the page, for printing, or only those near the window again. */
  expose(everything: boolean): void {
    this.look();
    this.everything = everything;
    this.draw(true);
  }

  /** Brings a row into view. */
  reveal(seq: number): R | undefined {
    const index = this.index[seq];
    if (index === undefined) return undefined;
    this.look();
    // What is measured on the way may move it: it is looked at again.
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const start = this.heights.start(index);
      const beneath = start + this.heights.size(index) - this.room;
      const offset =
        start < this.top || beneath > start ? 0 : beneath > this.top ? beneath - start : null;
      if (offset !== null) this.place = { seq, offset };
      const before = this.top;
      this.draw(false);
      if (round > 0 && this.top === before) break;
    }
    return this.rows.get(seq);
  }

  /** The row `step` places further down, from the row `seq`; the ends hold. */
  neighbour(seq: number, step: number): number | undefined {
    const at = this.index[seq];
    if (at === undefined) return undefined;
    return this.entries[Math.max(0, Math.min(this.entries.length - 1, at + step))]?.seq;
  }

  /** How many whole rows fit into the window. */
  get page(): number {
    return Math.max(1, this.heights.at(this.top + this.room) - this.heights.at(this.top) - 1);
  }

  dispose(): void {
    clearTimeout(this.more);
    this.observer.disconnect();
    this.rows.clear();
  }

  /** Looks at the element: its size, and whether the reader has scrolled. True if there is news. */
  private look(): boolean {
    const { clientHeight, clientWidth, scrollTop } = this.element;
    if (clientHeight === 0 || this.everything) {
      this.away ||= clientHeight === 0;
      return false;
    }
    const news = this.away || clientHeight !== this.room || clientWidth !== this.width;
    if (this.width !== clientWidth) this.heights.forget();
    this.room = clientHeight;
    this.width = clientWidth;
    if (this.away) {
      this.away = false;
      return true;
    }
    // A reader may pull beyond the ends, and what was written here comes back rounded.
    const most = Math.max(0, this.heights.total - this.room);
    const top = Math.max(0, Math.min(most, scrollTop));
    if (Math.abs(top - this.top) < 1) return news;
    this.following = this.isAtEnd;
    this.top = top;
    this.anchor();
    return true;
  }

  /** Lets the reader's place be the row where the window begins now. */
  private anchor(): void {
    const first = this.heights.at(this.top);
    const seq = this.entries[first]?.seq;
    const offset = this.top - this.heights.start(first);
    this.place = this.top < 1 || seq === undefined ? "top" : { seq, offset };
  }

  /** Where the window is to begin. */
  private wanted(): number {
    const most = Math.max(0, this.heights.total - this.room);
    if (this.place === "end") return most;
    if (this.place === "top") return 0;
    const { seq, offset } = this.place;
    const index = this.index[seq];
    if (index !== undefined) return Math.max(0, Math.min(most, this.heights.start(index) + offset));
    // A search or a filter hides the row: what ran next stands there until it is back.
    const next = this.entries.findIndex((entry) => entry.seq > seq);
    return next < 0 ? most : Math.min(most, this.heights.start(next));
  }

  private draw(all: boolean): void {
    let update = all;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      this.top = this.wanted();
      const { fresh, wanted } = this.put(this.range(), update);
      if (!this.measure(update ? wanted : fresh)) break;
      update = false;
    }
    this.top = this.wanted();
    this.items.style.height = `${this.heights.total}px`;
    for (const i of this.drawn) {
      const row = this.rows.get((this.entries[i] as Entry).seq);
      if (row) row.element.style.transform = `translateY(${this.heights.start(i)}px)`;
    }
    if (this.away || this.everything) return;
    if (Math.abs(this.element.scrollTop - this.top) >= 1) this.element.scrollTop = this.top;
    // What grows there later grows beneath what the reader looks at.
    if (this.place === "end") this.anchor();
  }

  /** The rows that are to be in the page. */
  private range(): number[] {
    const last = this.entries.length - 1;
    if (this.everything) return [...this.entries.keys()];
    const from = this.heights.at(this.top);
    const to = this.heights.at(this.top + this.room);
    // After a jump only what is seen is drawn: the next frame may be somewhere else again.
    const jumped = from > this.to || to < this.from;
    const beyond = jumped ? 1 : MORE_ROWS;
    clearTimeout(this.more);
    if (jumped) this.more = setTimeout(() => this.drawMore(), MORE_MS);
    this.from = from;
    this.to = to;
    const wanted = new Set<number>();
    for (let i = Math.max(0, from - beyond); i <= Math.min(last, to + beyond); i++) wanted.add(i);
    for (const seq of this.options.held()) {
      const index = this.index[seq];
      if (index !== undefined) wanted.add(index);
    }
    return [...wanted].sort((a, b) => a - b);
  }

  /** Draws what a jump left out. The reader may have scrolled since, and no event has said so yet. */
  private drawMore(): void {
    this.look();
    this.draw(false);
  }

  /** Puts rows into the page and takes the others out of it. */
  private put(range: number[], all: boolean): { fresh: R[]; wanted: R[] } {
    const spare = this.leave(new Set(range.map((i) => this.entries[i]?.seq)));
    const wanted: R[] = [];
    const fresh: R[] = [];
    for (const i of range) {
      const entry = this.entries[i] as Entry;
      const kept = this.rows.get(entry.seq);
      const row = kept ?? this.make(entry.seq, spare);
      const isFresh = !kept || kept.element.parentNode !== this.items;
      // The order of use is the order of the map: the oldest are forgotten first.
      this.rows.delete(entry.seq);
      this.rows.set(entry.seq, row);
      if (all || isFresh) this.options.update(row, entry);
      if (isFresh) fresh.push(row);
      wanted.push(row);
    }
    this.drawn = range;
    arrange(
      this.items,
      wanted.map((row) => row.element),
    );
    this.watch(fresh);
    this.forget(wanted.length);
    return { fresh, wanted };
  }

  /** Takes the rows that are no longer wanted off the list; returns those that may be used again. */
  private leave(wanted: ReadonlySet<number | undefined>): R[] {
    const spare: R[] = [];
    for (const [seq, row] of this.rows) {
      if (wanted.has(seq) || row.element.parentNode !== this.items || !this.options.isSpare(row))
        continue;
      this.rows.delete(seq);
      spare.push(row);
    }
    return spare;
  }

  private make(seq: number, spare: R[]): R {
    const used = spare.shift();
    if (used) this.options.reuse(used, seq);
    return used ?? this.options.create(seq);
  }

  private forget(drawn: number): void {
    for (const [seq, row] of this.rows) {
      if (this.rows.size <= KEPT_ROWS + drawn) return;
      if (row.element.parentNode === this.items) continue;
      this.rows.delete(seq);
      this.observer.unobserve(row.element);
    }
  }

  /** Measures rows that are in the page; true if one is higher or lower than was thought. */
  private measure(rows: readonly R[]): boolean {
    if (this.away) return false;
    let changed = false;
    for (const row of rows) changed = this.take(row.element, row.element.offsetHeight) || changed;
    return changed;
  }

  private take(element: HTMLElement, height: number): boolean {
    const index = this.index[Number(element.dataset.seq)];
    // What is not laid out has no height; a row always has one.
    if (index === undefined || height === 0) return false;
    return this.heights.measure(index, height);
  }

  private watch(rows: readonly R[]): void {
    const observe = (): void => {
      for (const row of rows) this.observer.observe(row.element);
    };
    if (this.telling) requestAnimationFrame(observe);
    else observe();
  }

  /** Something has another size: a row that was unfolded, the window, the list that was hidden. */
  private resized(changes: readonly ResizeObserverEntry[]): void {
    let changed = this.look();
    for (const { target, borderBoxSize } of changes) {
      if (target === this.element || target.parentNode !== this.items) continue;
      const height = Math.round(borderBoxSize[0]?.blockSize ?? 0);
      changed = this.take(target as HTMLElement, height) || changed;
    }
    if (!changed || this.away) return;
    this.telling = true;
    this.draw(false);
    this.telling = false;
  }

  private get isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  /** While the pointer or the focus is on a row, nothing may move under it. */
  private get isHeld(): boolean {
    return this.element.matches(":hover") || this.element.contains(document.activeElement);
  }
}
