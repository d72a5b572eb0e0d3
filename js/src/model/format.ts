/** Numbers, times and short texts as the timeline shows them. Pure. */

import { ExactNumber, isBranch, type Json, members } from "./json";

/** In seconds: up to there microseconds are counted exactly. */
const LONGEST = Number.MAX_SAFE_INTEGER / 1e6;

/**
 * A duration for people: `0.4 ms`, `12 ms`, `1.24 s`, `2 min 05 s`.
 *
 * `stepbook/model/durations.py` has the same rule; `tests/fixtures/durations.json` holds both to it.
 * In whole microseconds, since those round alike in both languages. What is negative, or longer
 * than 285 years, was never measured: it has no text.
 */
export function formatDuration(seconds: number): string {
  if (!(seconds >= 0 && seconds <= LONGEST)) return "";
  const us = Math.floor(seconds * 1e6 + 0.5);
  const rounded = (unit: number): number => Math.floor((us + Math.floor(unit / 2)) / unit);
  const two = (n: number): string => String(n).padStart(2, "0");
  const split = (n: number, by: number): [number, string] => [Math.floor(n / by), two(n % by)];
  if (us < 95) return `${us} µs`;
  if (us < 9_950) return `${Math.floor(rounded(100) / 10)}.${rounded(100) % 10} ms`;
  if (us < 999_500) return `${rounded(1_000)} ms`;
  if (us < 9_995_000) return `${split(rounded(10_000), 100).join(".")} s`;
  if (us < 59_950_000) return `${Math.floor(rounded(100_000) / 10)}.${rounded(100_000) % 10} s`;
  const [large, small, [whole, rest]] =
    us < 3_599_500_000
      ? ["min", "s", split(rounded(1_000_000), 60)]
      : us < 86_370_000_000
        ? ["h", "min", split(rounded(60_000_000), 60)]
        : ["d", "h", split(rounded(3_600_000_000), 24)];
  return `${whole} ${large} ${rest} ${small}`;
}

/** A running duration: steps of a tenth of a second, so that it does not flicker. */
export function formatElapsed(seconds: number): string {
  return seconds < 60 ? `${Math.max(0, seconds).toFixed(1)} s` : formatDuration(seconds);
}

/** What is left of a wait, rounded up: `29 min 58 s`. */
export function formatCountdown(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  return left < 60 ? `${left} s` : formatDuration(left);
}

/** `14:03:21` today, `22 Nov, 14:03:21` otherwise, in the reader's own zone and language. */
export function formatTime(us: number, now: Date = new Date()): string {
  const date = new Date(us / 1000);
  const today = date.toDateString() === now.toDateString();
  return date.toLocaleString(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
    ...(today ? {} : { day: "numeric", month: "short" }),
    ...(date.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }),
  });
}

/** The full moment, with its zone, for a tooltip. */
export function formatMoment(us: number): string {
  return new Date(us / 1000).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** `1 step`, `12,000 steps`. */
export function plural(n: number, word: string): string {
  return `${formatCount(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** `12,000`, the same in every language, since everything around it is English. */
export function formatCount(n: number): string {
  return n.toLocaleString("en-US");
}

/** `1.2 MB` for a number of characters. */
export function formatSize(chars: number): string {
  if (chars < 1000) return `${chars} B`;
  if (chars < 999_500) return `${(chars / 1000).toFixed(chars < 10_000 ? 1 : 0)} kB`;
  return `${(chars / 1e6).toFixed(1)} MB`;
}

/** A value in one line, cut at about `room` characters: `{id: "p-17", plan: "gold", …}`. */
export function preview(value: Json, room = 160): string {
  let left = room;
  const take = (text: string): string => {
    left -= text.length;
    return text;
  };
  const write = (v: Json): string => {
    if (v instanceof ExactNumber) return take(v.digits);
    if (typeof v === "string") {
      return take(JSON.stringify(v.length > 60 ? `${v.slice(0, 60)}…` : v));
    }
    if (!isBranch(v)) return take(String(v));
    const parts: string[] = [];
    for (const [key, item] of members(v)) {
      if (left <= 0) {
        parts.push("…");
        break;
      }
      left -= 2;
      parts.push((typeof key === "string" ? take(`${key}: `) : "") + write(item));
    }
    return Array.isArray(v) ? `[${parts.join(", ")}]` : `{${parts.join(", ")}}`;
  };
  return write(value);
}
