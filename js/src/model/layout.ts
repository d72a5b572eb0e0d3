/** Where bars stand in the run's time. Pure. */

import type { Row } from "./wire";

/** A stretch of time in microseconds. */
export interface Span {
  start: number;
  end: number;
}

/** A pause that takes less of the width than its time. */
export interface Gap {
  from: number;
  to: number;
  seconds: number;
}

/** Maps time to a share of the width; long pauses take only a little of it. */
export interface Scale {
  /** 0 at the first start, 1 at the last end. */
  at(us: number): number;
  /** The pauses that were cut short, as shares of the width, with their length in seconds. */
  gaps: readonly Gap[];
  /** The cut pause that ends when this moment begins, if one does. */
  gapBefore(us: number): Gap | undefined;
  /** Seconds of work that the whole width stands for, pauses left out. */
  seconds: number;
}

/** A pause is cut short if it is longer than this and than a tenth of all work. */
const SHORTEST_PAUSE_US = 2_000_000;
const PAUSE_SHARE = 0.1;
/** What a cut pause takes of the width, and all of them together at most. */
const GAP_WIDTH = 0.025;
const ALL_GAPS_WIDTH = 0.3;

/** The time in which a row was at work, `now` standing in for an end that is still to come. */
export function spanOf(row: Row, now: number): Span | null {
  if (row.started_at === null) return null;
  const known =
    row.completed_at ?? (row.seconds === null ? null : row.started_at + row.seconds * 1e6);
  const end = row.status === "running" ? now : (known ?? row.started_at);
  return { start: row.started_at, end: Math.max(end, row.started_at) };
}

/** Overlapping spans joined, in order. */
export function join(spans: readonly Span[]): Span[] {
  const sorted = spans.slice().sort((a, b) => a.start - b.start);
  const joined: Span[] = [];
  for (const span of sorted) {
    const last = joined.at(-1);
    if (last && span.start <= last.end) last.end = Math.max(last.end, span.end);
    else joined.push({ ...span });
  }
  return joined;
}

/** Makes the scale on which the given spans are drawn. */
export function makeScale(spans: readonly Span[]): Scale {
  const busy = join(spans);
  const first = busy[0];
  const last = busy.at(-1);
  if (!(first && last)) return { at: () => 0, gaps: [], gapBefore: () => undefined, seconds: 0 };

  const work = busy.reduce((sum, span) => sum + span.end - span.start, 0);
  const pauses = busy.slice(1).map((span, i) => span.start - (busy[i] as Span).end);
  const cut = pauses.map((us) => us > SHORTEST_PAUSE_US && us > work * PAUSE_SHARE);
  const cuts = cut.filter(Boolean).length;
  const gapWidth = cuts ? Math.min(GAP_WIDTH, ALL_GAPS_WIDTH / cuts) : 0;
  const drawn = work + pauses.reduce((sum, us, i) => sum + (cut[i] ? 0 : us), 0);
  const perUs = drawn > 0 ? (1 - cuts * gapWidth) / drawn : 0;

  // Points between which time runs evenly.
  const times: number[] = [first.start];
  const places: number[] = [0];
  const gaps: Gap[] = [];
  const gapsByEnd = new Map<number, Gap>();
  let place = 0;
  busy.forEach((span, i) => {
    if (i > 0) {
      const pause = pauses[i - 1] as number;
      const from = place;
      place += cut[i - 1] ? gapWidth : pause * perUs;
      if (cut[i - 1]) {
        const gap = { from, to: place, seconds: pause / 1e6 };
        gaps.push(gap);
        gapsByEnd.set(span.start, gap);
      }
      times.push(span.start);
      places.push(place);
    }
    place += (span.end - span.start) * perUs;
    times.push(span.end);
    places.push(place);
  });

  const at = (us: number): number => {
    if (us <= first.start) return 0;
    if (us >= last.end) return drawn > 0 ? 1 : 0;
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((times[middle] as number) <= us) low = middle;
      else high = middle;
    }
    const [t0, t1] = [times[low] as number, times[high] as number];
    const [p0, p1] = [places[low] as number, places[high] as number];
    return t1 > t0 ? p0 + ((us - t0) / (t1 - t0)) * (p1 - p0) : p1;
  };
  return { at, gaps, gapBefore: (us) => gapsByEnd.get(us), seconds: drawn / 1e6 };
}
