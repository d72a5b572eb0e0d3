/** What is known of a run, and which of its rows are to be seen. Pure: no DOM, no clock. */

import { isTaggedText } from "./tagged";
import { type Delta, type Row, type Run, readRows, type Snapshot, type Status } from "./wire";

export type Applied = "applied" | "gap" | "old";

/** How many rows there are of each status; items of maps count under `items`. */
export type Counts = Record<Status, number>;

const noCounts = (): Counts => ({ pending: 0, running: 0, succeeded: 0, failed: 0 });

/** The rows of one run as a tree: steps, what is nested in them, and the items of maps. */
export class Timeline {
  run: Run | null = null;
  rev = -1;
  /** Kernel clock minus page clock, in microseconds. */
  clockOffset = 0;
  /** Where the clock stands if nothing more will come: a page that holds a record. */
  stoppedAt: number | null = null;
  readonly rows = new Map<number, Row>();
  /** Sequence numbers of the rows without a parent, in the order they ran. */
  roots: number[] = [];
  private readonly children = new Map<number, number[]>();
  private readonly byName = new Map<string, number>();
  /** Sequence numbers of the parents, for the way back up. */
  private readonly parents = new Map<number, number>();
  /** Texts that were asked for, as messages go on to hold only their beginnings. */
  private readonly whole = new Map<string, { attempt: number; size: number; text: string }>();
  private counts = noCounts();
  private readonly itemCounts = new Map<number, Counts>();

  /**
   * Takes a message in.
   *
   * @returns "gap" if messages are missing before this one: the caller asks for a snapshot.
   */
  apply(message: Snapshot | Delta, pageNow: number): Applied {
    if (message.rev < this.rev) return "old";
    if (message.type === "delta" && (this.run === null || message.since > this.rev)) return "gap";
    if (message.type === "snapshot") this.clear();
    this.rev = message.rev;
    this.run = message.run;
    this.clockOffset = message.now - pageNow;
    for (const row of readRows(message)) this.put(row);
    return "applied";
  }

  /** The text of a body that was asked for. */
  putBody(seq: number, field: "return" | "error", text: string): void {
    const row = this.rows.get(seq);
    const size = row?.[`${field}_size`] ?? null;
    if (!row || size === null) return;
    this.whole.set(`${seq} ${field}`, { attempt: row.attempt, size, text });
    this.rows.set(seq, this.completed(row));
  }

  /** The row with the whole texts that are known. */
  private completed(row: Row): Row {
    const one = (field: "return" | "error"): Partial<Row> => {
      const whole = this.whole.get(`${row.seq} ${field}`);
      const same = whole?.size === row[`${field}_size`] && whole?.attempt === row.attempt;
      return whole && same ? { [field]: whole.text, [`${field}_size`]: null } : {};
    };
    if (this.whole.size === 0) return row;
    return { ...row, ...one("return"), ...one("error") };
  }

  /** Whether the page lacks the rest of some text, in the record or in a file of the book. */
  get lacks(): { record: boolean; files: boolean } {
    let record = false;
    let files = false;
    for (const row of this.rows.values()) {
      record ||= row.return_size !== null || row.error_size !== null;
      files ||= row.return !== null && isTaggedText(row.return) && row.return.includes('"file":"');
    }
    return { record, files };
  }

  get(seq: number): Row | undefined {
    return this.rows.get(seq);
  }

  childrenOf(seq: number): readonly number[] {
    return this.children.get(seq) ?? [];
  }

  parentOf(seq: number): number | undefined {
    return this.parents.get(seq);
  }

  /** Steps by status; the items of a map are not steps of their own here. */
  get steps(): Counts {
    return this.counts;
  }

  /** Items of one map by status. */
  itemsOf(seq: number): Counts {
    return this.itemCounts.get(seq) ?? noCounts();
  }

  private clear(): void {
    this.rows.clear();
    this.roots = [];
    this.children.clear();
    this.byName.clear();
    this.parents.clear();
    this.counts = noCounts();
    this.itemCounts.clear();
  }

  private put(row: Row): void {
    const before = this.rows.get(row.seq);
    this.rows.set(row.seq, this.completed(row));
    if (!before) this.place(row);
    const parent = this.parents.get(row.seq);
    const isItem = row.item !== null && parent !== undefined;
    const counts = isItem ? this.countsOf(parent) : this.counts;
    if (before) counts[before.status]--;
    counts[row.status]++;
  }

  private countsOf(parent: number): Counts {
    let counts = this.itemCounts.get(parent);
    if (!counts) {
      counts = noCounts();
      this.itemCounts.set(parent, counts);
    }
    return counts;
  }

  private place(row: Row): void {
    this.byName.set(row.name, row.seq);
    const parent = row.parent === null ? undefined : this.byName.get(row.parent);
    let siblings = this.roots;
    if (parent !== undefined && parent !== row.seq) {
      this.parents.set(row.seq, parent);
      siblings = this.children.get(parent) ?? [];
      this.children.set(parent, siblings);
    }
    const last = siblings.at(-1);
    siblings.push(row.seq);
    if (last !== undefined && last > row.seq) siblings.sort((a, b) => a - b);
  }
}

/** What the reader has chosen to see. */
export interface Choice {
  /** Rows that were opened or closed by hand. */
  open: Map<number, boolean>;
  /** What holds for the others, after "expand all" and "collapse all". */
  everything: boolean | null;
  query: string;
  /** Rows that the record says match, beyond what the page holds of their texts. */
  found: ReadonlySet<number>;
  /** Only rows of this status; null shows all. */
  status: Status | null;
  /** Rows that stay in sight whatever they have become: the reader has acted on them. */
  kept: Set<number>;
}

/** One row to be drawn. */
export interface Entry {
  seq: number;
  depth: number;
  position: number;
  siblings: number;
}

export const newChoice = (): Choice => ({
  open: new Map(),
  everything: null,
  query: "",
  found: new Set(),
  status: null,
  kept: new Set(),
});

/** Failed rows stand open until somebody closes them. */
export function isOpen(row: Row, choice: Choice): boolean {
  return (
    choice.open.get(row.seq) ?? choice.everything ?? (row.status === "failed" && row.item === null)
  );
}

/** Failed items first, then those at work, then the rest; each in the order they ran. */
function itemOrder(timeline: Timeline, seqs: readonly number[]): number[] {
  const failed: number[] = [];
  const running: number[] = [];
  const rest: number[] = [];
  for (const seq of seqs) {
    const status = timeline.get(seq)?.status;
    (status === "failed" ? failed : status === "running" ? running : rest).push(seq);
  }
  return failed.length || running.length ? failed.concat(running, rest) : rest;
}

/** Decides whether a row is found by the search and passes the filter. */
export function matcher(
  choice: Pick<Choice, "query" | "status" | "found" | "kept">,
): ((row: Row) => boolean) | null {
  const query = choice.query.trim();
  const { status, found, kept } = choice;
  if (!(query || status)) return null;
  // Unlike toLowerCase, an expression makes no copy of each text.
  const sought = new RegExp(query.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "iu");
  return (row) =>
    kept.has(row.seq) ||
    ((status === null || row.status === status) &&
      (!query ||
        sought.test(row.name) ||
        (row.return !== null && sought.test(row.return)) ||
        (row.error !== null && sought.test(row.error)) ||
        found.has(row.seq)));
}

/**
 * The rows to be drawn, in order.
 *
 * Without a search and a filter the items of a map are there when the map is open, and nested
 * steps always are. With one, everything that matches is there, and what it is nested in.
 */
export function visible(timeline: Timeline, choice: Choice): Entry[] {
  const entries: Entry[] = [];
  const matches = matcher(choice);

  const walk = (seqs: readonly number[], depth: number): boolean => {
    let any = false;
    const first = entries.length;
    const mine: Entry[] = [];
    for (const seq of seqs) {
      const row = timeline.get(seq) as Row;
      const entry: Entry = { seq, depth, position: 0, siblings: 0 };
      const mark = entries.length;
      entries.push(entry);
      const below = timeline.childrenOf(seq);
      let kept = matches === null || matches(row);
      if (below.length > 0) {
        const show = matches !== null || row.kind !== "map" || isOpen(row, choice);
        const order = row.kind === "map" ? itemOrder(timeline, below) : below;
        if (show && walk(order, depth + 1)) kept = true;
      }
      if (kept) {
        any = true;
        mine.push(entry);
      } else entries.length = mark;
    }
    for (let i = 0; i < mine.length; i++) {
      const entry = mine[i] as Entry;
      entry.position = i + 1;
      entry.siblings = mine.length;
    }
    return any && entries.length > first;
  };

  walk(timeline.roots, 0);
  return entries;
}

/** The rows above a row, from the outermost. */
export function ancestors(timeline: Timeline, seq: number): number[] {
  const path: number[] = [];
  for (let at = timeline.parentOf(seq); at !== undefined; at = timeline.parentOf(at)) {
    path.unshift(at);
  }
  return path;
}

/** The step that a failed run has failed at: the last one that nobody went on after. */
export function failureOf(timeline: Timeline): number | undefined {
  if (timeline.run?.status !== "failed") return undefined;
  return timeline.roots.findLast((seq) => {
    const row = timeline.get(seq);
    return row?.status === "failed" && !row.handled;
  });
}

/**
 * The next failed row after `from` (before it with `step` -1) in the order of the whole tree, the
 * items of closed maps included; undefined if nothing failed.
 */
export function nextFailed(
  timeline: Timeline,
  choice: Choice,
  from: number | null,
  step: 1 | -1,
): number | undefined {
  const everything = visible(timeline, { ...choice, open: new Map(), everything: true });
  const at = everything.findIndex((entry) => entry.seq === from);
  const count = everything.length;
  const start = at < 0 ? (step === 1 ? -1 : 0) : at;
  for (let i = 1; i <= count; i++) {
    const entry = everything[(((start + i * step) % count) + count) % count] as Entry;
    if (timeline.get(entry.seq)?.status === "failed") return entry.seq;
  }
  return undefined;
}
