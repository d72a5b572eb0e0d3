/** Errors as they are recorded: type, message, notes, cause, and the traceback as text. Pure. */

import { parseJson } from "./json";

/** The fields of an error record that are shown; each may be missing in a foreign one. */
export interface ErrorRecord {
  type: string;
  message: string;
  stack: string;
  notes: string[];
}

/** Reads an error record; null if the text is none. */
export function readError(text: string): ErrorRecord | null {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const fields = value as Record<string, unknown>;
  const str = (key: string): string =>
    typeof fields[key] === "string" ? (fields[key] as string) : "";
  const notes = Array.isArray(fields.notes)
    ? fields.notes.filter((note): note is string => typeof note === "string")
    : [];
  return { type: str("type") || "Error", message: str("message"), stack: str("stack"), notes };
}

export interface StackLine {
  text: string;
  /** A frame of the user's own code rather than a library's. */
  own: boolean;
}

const FRAME = /^\s*(?:File |Cell |~)/;
/** The rooms of the package, and the modules that stand beside them: its frames are not the user's. */
const ROOMS =
  "analysis|api|cli|code|engine|model|notebook|record|server|show|system|timeline|values";
const MODULES = "_\\w+|errors|seen|testing";
const LIBRARY = new RegExp(
  [
    "site-packages|dist-packages|[\\\\/]lib[\\\\/]python\\d|[\\\\/]Lib[\\\\/]|<frozen ",
    `[\\\\/]stepbook[\\\\/](?:(?:${ROOMS})[\\\\/](?:\\w+[\\\\/])*\\w+|${MODULES})\\.py"`,
  ].join("|"),
);

/** Splits a traceback into lines and marks the frames of the user's own code. */
export function readStack(stack: string): StackLine[] {
  let own = false;
  return stack
    .replace(/\n+$/, "")
    .split("\n")
    .map((text) => {
      if (FRAME.test(text)) own = !LIBRARY.test(text);
      else if (/^\S/.test(text)) own = false;
      return { text, own };
    });
}

/** The first line of an error, for beneath a closed row. */
export function errorLine(text: string): string {
  const error = readError(text);
  if (!error) return text;
  return error.message ? `${error.type}: ${error.message.split("\n", 1)[0]}` : error.type;
}
