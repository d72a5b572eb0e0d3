/** Errors as they are recorded: type, message, notes, cause, and the traceback as text. */

import { h } from "./dom";
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
  const str = (key: string): string => (typeof fields[key] === "string" ? (fields[key] as string) : "");
  const notes = Array.isArray(fields["notes"])
    ? fields["notes"].filter((note): note is string => typeof note === "string")
    : [];
  return { type: str("type") || "Error", message: str("message"), stack: str("stack"), notes };
}

export interface StackLine {
  text: string;
  /** A frame of the user's own code rather than a library's. */
  own: boolean;
}

const FRAME = /^\s*(?:File |Cell |~)/;
const LIBRARY =
  /site-packages|dist-packages|[\\/]lib[\\/]python\d|[\\/]Lib[\\/]|<frozen |[\\/]stepbook[\\/]_/;

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

/** The element of an error: type and message first, then notes, then the stack. */
export function errorBlock(text: string): HTMLElement {
  const error = readError(text);
  if (!error) return h("div.sb-error", {}, h("div.sb-message", {}, text));
  const stack = error.stack
    ? h(
        "div.sb-stack",
        { tabindex: "0", role: "group", "aria-label": "Stack", "data-lm-suppress-shortcuts": "true" },
        ...readStack(error.stack).map((line) =>
          h(line.own ? "div.sb-own" : "div", {}, line.text || " "),
        ),
      )
    : null;
  return h(
    "div.sb-error",
    {},
    h("div.sb-message", {}, h("strong", {}, error.type), error.message && `: ${error.message}`),
    ...error.notes.map((note) => h("div.sb-note", {}, note)),
    stack,
  );
}

/** The first line of an error, for beneath a closed row. */
export function errorLine(text: string): string {
  const error = readError(text);
  if (!error) return text;
  return error.message ? `${error.type}: ${error.message.split("\n", 1)[0]}` : error.type;
}
