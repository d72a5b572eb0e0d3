/** Numbers, times and short texts as the timeline shows them. Pure. */

import { ExactNumber, isBranch, type Json, members } from "./json";

/** A duration in at most six characters and a unit: `0.4 ms`, `12 ms`, `1.24 s`, `2 min 05 s`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  const ms = seconds * 1000;
  if (ms < 0.095) return `${Math.round(ms * 1000)} µs`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const two = (n: number): string => String(n).padStart(2, "0");
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
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
