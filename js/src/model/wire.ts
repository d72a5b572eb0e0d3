/**
 * The messages between Python and the timeline. `stepbook/timeline/wire.py` writes them,
 * `tests/fixtures/wire.json` holds one of each, and the tests of both sides read that file.
 *
 * A snapshot is everything; a delta holds the rows that changed after revision `since`, whole, up
 * to revision `rev`. Applying a row twice changes nothing, so deltas may overlap: a reader applies
 * one if `since` is not beyond what it has, and otherwise asks for a snapshot.
 *
 * Times are microseconds since 1970-01-01 UTC.
 */

/** Version of the messages; another one is refused with a sentence that says what to do. */
export const WIRE_VERSION = 1;

export type Status = "pending" | "running" | "succeeded" | "failed";
export type Kind = "do" | "cell" | "scan" | "sleep" | "map";
export type Policy = "no-store" | "max-size" | "free-disk";

/** One execution of a loop. `input` and `output` are JSON text. */
export interface Run {
  id: string;
  loop: string;
  key: string;
  status: Status;
  trigger_type: string;
  input: string | null;
  output: string | null;
  created_at: number;
  started_at: number | null;
  completed_at: number | null;
}

/** The columns of a row, in the order in which a row travels as an array. */
export const FIELDS = [
  "seq",
  "name",
  "kind",
  "parent",
  "item",
  "status",
  "attempt",
  "started_at",
  "completed_at",
  "seconds",
  "return",
  "return_size",
  "error",
  "error_size",
  "stale",
  "handled",
  "progress",
  "usual",
  "expires_at",
  "policy",
  "verdict",
  "changes",
  "reason",
] as const;

/** One step. */
export interface Row {
  seq: number;
  name: string;
  kind: Kind;
  parent: string | null;
  item: string | null;
  status: Status;
  attempt: number;
  started_at: number | null;
  completed_at: number | null;
  seconds: number | null;
  /** JSON text of the return, or only its beginning: then `return_size` is its whole length. */
  return: string | null;
  return_size: number | null;
  /** JSON text of the error; without its stack if `error_size`, its whole length, is given. */
  error: string | null;
  error_size: number | null;
  stale: boolean;
  handled: boolean;
  /** JSON text; `done`, `total` and `message` are shown. */
  progress: string | null;
  /** How many seconds the step took in the previous run of the loop. */
  usual: number | null;
  /** When the open wait for a scan, or a sleep, ends. */
  expires_at: number | null;
  /** Why nothing is stored of a step that succeeded: each pass executes it again. */
  policy: Policy | null;
  /** Whether the last replay found the code and the inputs as they were recorded; null: the same. */
  verdict: "same" | "stale" | "unknown" | null;
  /** What in them is stale or unknown. */
  changes: string | null;
  /** Why the attempt was executed; null for the first. */
  reason: string | null;
}

export interface Snapshot {
  v: number;
  type: "snapshot";
  rev: number;
  /** The kernel's clock when the message was written. */
  now: number;
  run: Run;
  fields: readonly string[];
  rows: readonly (readonly unknown[])[];
}

export interface Delta {
  v: number;
  type: "delta";
  since: number;
  rev: number;
  now: number;
  run: Run;
  fields: readonly string[];
  rows: readonly (readonly unknown[])[];
}

/** The answer to a request, matched by its id. */
export type Reply =
  | { v: number; type: "reply"; id: number; ok: true; value: unknown }
  | { v: number; type: "reply"; id: number; ok: false; error: string };

/** One run of the list, as Python has it in `RunLine`. Times in microseconds. */
export interface RunLine {
  id: string;
  loop: string;
  key: string;
  status: Status;
  created_at: number;
  started_at: number | null;
  completed_at: number | null;
  steps: number;
  succeeded: number;
  failed: number;
  total: number;
}

/** The list of a book's newest runs. */
export interface Runs {
  v: number;
  type: "runs";
  runs: readonly RunLine[];
}

export type Message = Snapshot | Delta | Reply | Runs;

/** What the timeline may ask of the kernel. */
export type Request =
  | { type: "hello" }
  | { type: "snapshot" }
  | { type: "body"; seq: number; field: "return" | "error" }
  | { type: "search"; query: string }
  | { type: "rows"; seq: number; start: number }
  | { type: "attempts"; name: string }
  | { type: "previous"; name: string }
  | { type: "open"; run: string }
  | { type: "refresh" }
  | { type: "redo"; name: string }
  | { type: "rewind"; name: string }
  | { type: "deliver"; name: string; payload: string };

/** One execution of a step, of this run or of an earlier one: the answer to two of the requests. */
export interface Past {
  attempt: number;
  status: Status;
  started_at: number | null;
  seconds: number | null;
  return: string | null;
  error: string | null;
  /** The run it belongs to, if that is another one. */
  run?: string;
}

const TYPES: readonly Message["type"][] = ["snapshot", "delta", "reply", "runs"];

/** A message that this version cannot read. */
export class WireError extends Error {}

/**
 * Checks a decoded message as far as the rest relies on it.
 *
 * @throws WireError if it is not a message of this version.
 */
export function readMessage(value: unknown): Message {
  if (typeof value !== "object" || value === null) throw new WireError("not a message");
  const message = value as { v?: unknown; type?: unknown };
  if (message.v !== WIRE_VERSION) {
    throw new WireError(
      `The kernel's stepbook speaks version ${String(message.v)} of the timeline's messages, ` +
        `this page version ${WIRE_VERSION}. Restart the kernel and run the cell again.`,
    );
  }
  if (!TYPES.includes(message.type as Message["type"])) {
    throw new WireError(`unknown message ${JSON.stringify(message.type)}`);
  }
  return value as Message;
}

/** Turns the rows of a message into records; columns this version does not know are left out. */
export function readRows(message: Pick<Snapshot, "fields" | "rows">): Row[] {
  const at = FIELDS.map((field) => message.fields.indexOf(field));
  return message.rows.map((cells) => {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < FIELDS.length; i++) {
      const index = at[i] as number;
      row[FIELDS[i] as string] = index < 0 ? null : (cells[index] ?? null);
    }
    return row as unknown as Row;
  });
}
