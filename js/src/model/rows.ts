/** What a row says, and about how high it is. Pure. */

import { formatCount, formatCountdown, formatDuration, formatElapsed, plural } from "./format";
import { countLines, isBranch, type Json, parseJson } from "./json";
import type { Counts } from "./state";
import { isTaggedText } from "./tagged";
import type { Policy, Row } from "./wire";

/** Why nothing is stored of a step; `stepbook/show/words.py` has the same. */
export const UNSTORED: Readonly<Record<Policy, string>> = {
  "no-store": "not stored, as asked; executed again in each pass",
  "max-size": "not stored: larger than max_size; executed again in each pass",
  "free-disk": "not stored: too little room on the disk; executed again in each pass",
};

/** Returns of at most this many lines are open below their row. */
export const OPEN_LINES = 5;
/** Texts longer than this are not looked at for how many lines they take. */
const OPEN_CHARS = 600;

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
  if (height === undefined) {
    height = closedHeight(row);
    closedHeights.set(row, height);
  }
  return height;
}

const closedHeights = new WeakMap<Row, number>();

function closedHeight(row: Row): number {
  const peek = peekOf(row);
  if (row.error !== null && row.status === "failed") return 53;
  if (peek === "none") return 31;
  return peek === "line" ? 53 : 36 + 18 * countLines(row.return as string, OPEN_LINES);
}

/** "9,998 of 10,000, 2 failed" for a map. */
export function mapSummary(row: Row, items: Counts): string {
  const known = items.pending + items.running + items.succeeded + items.failed;
  const total = Math.max(known, progressOf(row)?.total ?? 0);
  const done = `${formatCount(items.succeeded)} of ${plural(total, "item")}`;
  return items.failed ? `${done}, ${formatCount(items.failed)} failed` : done;
}

/** What a step said about how far it is. */
export function progressOf(
  row: Row,
): { done: number; total: number | null; message: string } | null {
  const value = row.progress === null ? undefined : parseJson(row.progress);
  if (value === undefined || !isBranch(value) || Array.isArray(value)) return null;
  const { done, total, message } = value as Record<string, Json>;
  if (typeof done !== "number")
    return typeof message === "string" ? { done: 0, total: null, message } : null;
  return {
    done,
    total: typeof total === "number" ? total : null,
    message: typeof message === "string" ? message : "",
  };
}

/** What stands at the end of a row. */
export function timeText(row: Row, now: number): string {
  if (row.status === "running" && row.started_at !== null) {
    if (row.expires_at !== null) return `${formatCountdown((row.expires_at - now) / 1e6)} left`;
    return formatElapsed((now - row.started_at) / 1e6);
  }
  return row.seconds === null ? "" : formatDuration(row.seconds);
}
