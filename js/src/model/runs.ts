/** The list of a book's runs: what is found in it, and how long its runs took. Pure. */

import type { RunLine, Status } from "./wire";

/** How many runs of a loop show their durations. */
const SPARKS = 12;

/** How long a run took, in seconds, if it has ended. */
export function secondsOf(run: RunLine): number | null {
  if (run.started_at === null || run.completed_at === null) return null;
  return (run.completed_at - run.started_at) / 1e6;
}

/** The runs that match what is searched for. */
export function found(runs: readonly RunLine[], query: string, status: Status | null): RunLine[] {
  const text = query.trim().toLowerCase();
  return runs.filter(
    (run) =>
      (status === null || run.status === status) &&
      (!text || [run.loop, run.key, run.id].some((field) => field.toLowerCase().includes(text))),
  );
}

/** The durations of a loop's last runs, oldest first, up to this run. */
export function lastSeconds(runs: readonly RunLine[], run: RunLine): number[] {
  return runs
    .slice(runs.indexOf(run))
    .filter((other) => other.loop === run.loop)
    .map(secondsOf)
    .filter((seconds): seconds is number => seconds !== null)
    .slice(0, SPARKS)
    .reverse();
}
