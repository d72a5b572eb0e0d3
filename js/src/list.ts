/**
 * The list: only the rows near the window are elements. Heights are measured, so rows may open; the
 * row that has the focus stays in the page wherever the reader scrolls.
 */

import {
  Virtualizer,
  defaultRangeExtractor,
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type VirtualizerOptions,
} from "@tanstack/virtual-core";

import { h } from "./dom";
import type { Entry } from "./state";

/** Rows that were scrolled away open are kept for a while, with what was folded in them. */
const KEPT_ROWS = 200;
/** So many rows beyond the window are drawn, so that scrolling a little shows no gap. */
const MORE_ROWS = 6;
/** How near the end counts as being at the end, in pixels. */
const NEAR_END = 12;

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
}

export class List<R extends RowHandle> {
  /** What scrolls. */
  readonly element: HTMLElement;
  private readonly items: HTMLOListElement;
  private readonly rows = new Map<number, R>();
  private readonly virtualizer: Virtualizer<HTMLElement, HTMLElement>;
  private entries: readonly Entry[] = [];
  /** Where each row stands, by its sequence number. */
  private index: number[] = [];
  private drawnFrom = 0;
  private drawnTo = 0;
  private focusSeq: number | null = null;
  private following = true;
  private begun = false;
  private drawing = false;
  private stale = false;
  private everything = false;
  private readonly unmount: () => void;

  constructor(private readonly options: ListOptions<R>) {
    this.items = h("ol.sb-list", { role: "list" });
    this.element = h("div.sb-scroll", {}, this.items);
    this.virtualizer = new Virtualizer(this.virtualOptions());
    this.unmount = this.virtualizer._didMount();
    this.element.addEventListener("scroll", () => (this.following = this.isAtEnd()), { passive: true });
  }

  /** Shows these rows; the reader's place stays where it is, or at the end if that is where it was. */
  show(entries: readonly Entry[], follow: boolean): void {
    const anchor = this.anchor();
    this.entries = entries;
    this.index = [];
    for (let i = 0; i < entries.length; i++) this.index[(entries[i] as Entry).seq] = i;
    this.virtualizer.setOptions(this.virtualOptions());
    this.virtualizer._willUpdate();
    this.draw(true);
    if (!this.begun) {
      // Whoever opens a timeline begins at its top; who then is at its end is taken along.
      this.begun = entries.length > 0;
      this.following = this.isAtEnd();
    } else if (follow && this.following && !this.isHeld()) this.virtualizer.scrollToEnd();
    else if (anchor) this.restore(anchor);
  }

  /** Brings the rows in the page up to date. */
  refresh(visit: (row: R, entry: Entry) => void): void {
    for (const item of this.virtualizer.getVirtualItems()) {
      const entry = this.entries[item.index];
      const row = entry && this.rows.get(entry.seq);
      if (entry && row) visit(row, entry);
    }
  }

  /** Measures again, after a font or the width has changed. */
  measure(): void {
    this.virtualizer.measure();
  }

  /** Puts every row into the page, for printing, or only those near the window again. */
  expose(everything: boolean): void {
    this.everything = everything;
    this.virtualizer.setOptions(this.virtualOptions());
    this.draw(true);
  }

  /** Brings a row into view. */
  reveal(seq: number): R | undefined {
    const index = this.index[seq];
    if (index === undefined) return undefined;
    this.focusSeq = seq;
    this.virtualizer.scrollToIndex(index, { align: "auto" });
    this.draw(true);
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
    return Math.max(1, this.virtualizer.getVirtualItems().length - 10);
  }

  set focused(seq: number | null) {
    this.focusSeq = seq;
  }

  dispose(): void {
    this.unmount();
    this.rows.clear();
  }

  /** For tests and measurements: how many rows are elements now. */
  get drawn(): number {
    return this.items.childElementCount;
  }

  private virtualOptions(): VirtualizerOptions<HTMLElement, HTMLElement> {
    return {
      count: this.entries.length,
      getScrollElement: () => this.element,
      estimateSize: (index) => this.options.estimate((this.entries[index] as Entry).seq),
      getItemKey: (index) => (this.entries[index] as Entry).seq,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      initialRect: { width: 600, height: 600 },
      onChange: () => this.draw(false),
      rangeExtractor: (range) => {
        if (this.everything) return [...Array(this.entries.length).keys()];
        // After a jump only what is seen is drawn: the next frame may be somewhere else again.
        const jumped = range.startIndex > this.drawnTo || range.endIndex < this.drawnFrom;
        const indexes = defaultRangeExtractor({ ...range, overscan: jumped ? 1 : MORE_ROWS });
        this.drawnFrom = range.startIndex;
        this.drawnTo = range.endIndex;
        const focus = this.focusSeq === null ? undefined : this.index[this.focusSeq];
        if (focus === undefined || indexes.includes(focus)) return indexes;
        return [...indexes, focus].sort((a, b) => a - b);
      },
    };
  }

  /**
   * Puts the rows near the window into the page. Measuring them may move others: then they are
   * placed again, before anything is painted.
   */
  private draw(all: boolean): void {
    if (this.drawing) {
      this.stale = true;
      return;
    }
    this.drawing = true;
    let update = all;
    for (let round = 0; round < 4; round++) {
      this.stale = false;
      this.place(update);
      update = false;
      if (!this.stale) break;
    }
    this.drawing = false;
  }

  private place(all: boolean): void {
    const { virtualizer, items } = this;
    const drawn = virtualizer.getVirtualItems();
    const spare = this.leave(new Set(drawn.map((item) => item.key as number)));
    const wanted = new Map<Element, boolean>();
    for (const item of drawn) {
      const entry = this.entries[item.index];
      if (!entry) continue;
      const { row, fresh } = this.rowOf(entry.seq, spare);
      // The order of use is the order of the map: the oldest are forgotten first.
      this.rows.delete(entry.seq);
      this.rows.set(entry.seq, row);
      if (all || fresh) this.options.update(row, entry);
      row.element.dataset["index"] = String(item.index);
      row.element.style.transform = `translateY(${item.start}px)`;
      wanted.set(row.element, fresh || all);
    }
    for (const child of [...items.children]) if (!wanted.has(child)) child.remove();
    let cursor = items.firstElementChild;
    for (const element of wanted.keys()) {
      // What is in its place stays there: moving an element would take its focus.
      if (element === cursor) cursor = cursor.nextElementSibling;
      else items.insertBefore(element, cursor);
    }
    for (const [element, measure] of wanted) {
      if (measure) virtualizer.measureElement(element as HTMLElement);
    }
    items.style.height = `${virtualizer.getTotalSize()}px`;
    this.forget(wanted);
  }

  /** Takes the rows that are no longer wanted off the list; returns those that may be used again. */
  private leave(wanted: ReadonlySet<number>): R[] {
    const spare: R[] = [];
    for (const [seq, row] of this.rows) {
      if (wanted.has(seq) || !row.element.isConnected || !this.options.isSpare(row)) continue;
      this.rows.delete(seq);
      this.virtualizer.elementsCache.delete(seq);
      spare.push(row);
    }
    return spare;
  }

  /** The row of this number: as it was, or one that is free, or a new one. */
  private rowOf(seq: number, spare: R[]): { row: R; fresh: boolean } {
    const kept = this.rows.get(seq);
    if (kept) return { row: kept, fresh: !kept.element.isConnected };
    const used = spare.shift();
    if (used) this.options.reuse(used, seq);
    return { row: used ?? this.options.create(seq), fresh: true };
  }

  private forget(drawn: ReadonlyMap<Element, boolean>): void {
    for (const [seq, row] of this.rows) {
      if (this.rows.size <= KEPT_ROWS + drawn.size) return;
      if (!drawn.has(row.element)) this.rows.delete(seq);
    }
  }

  private isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  /** While the pointer or the focus is on a row, nothing may move under it. */
  private isHeld(): boolean {
    return this.element.matches(":hover") || this.element.contains(document.activeElement);
  }

  private anchor(): { seq: number; offset: number } | null {
    const { scrollTop } = this.element;
    if (scrollTop <= 0) return null;
    const item = this.virtualizer.getVirtualItemForOffset(scrollTop);
    const entry = item && this.entries[item.index];
    return item && entry ? { seq: entry.seq, offset: scrollTop - item.start } : null;
  }

  private restore(anchor: { seq: number; offset: number }): void {
    const index = this.index[anchor.seq];
    if (index === undefined) return;
    this.virtualizer.getTotalSize();
    const start = this.virtualizer.measurementsCache[index]?.start;
    if (start === undefined) return;
    const wanted = start + anchor.offset;
    if (Math.abs(this.element.scrollTop - wanted) >= 1) this.element.scrollTop = wanted;
  }
}
