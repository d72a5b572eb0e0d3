/**
 * JSON that is shown exactly as it was recorded: numbers that a double cannot hold keep their
 * digits, and text that is only the beginning of a document is never parsed.
 */

/** A number whose digits a double would change, such as 12345678901234567890. */
export class ExactNumber {
  constructor(readonly digits: string) {}
}

export type Json =
  | null
  | boolean
  | number
  | string
  | ExactNumber
  | Json[]
  | { [key: string]: Json };

/** Stands before the digits of a number while it travels through JSON.parse as a string. */
const MARK = "\u0000number:";
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** The digits that count: 1.50 and 1e3 mean the same as what a double prints. */
function digits(text: string): string {
  return text
    .replace(/e.*$/i, "")
    .replace(/[-.]/g, "")
    .replace(/^0+|0+$/g, "");
}

/** Parses JSON text; undefined if it is none. */
export function parseJson(text: string): Json | undefined {
  try {
    if (!/[\d.]{16}/.test(text)) return JSON.parse(text) as Json;
    const marked = text.replace(TOKENS, (token) =>
      token[0] === '"' || digits(String(Number(token))) === digits(token)
        ? token
        : JSON.stringify(MARK + token),
    );
    return JSON.parse(marked, (_key, value: unknown) =>
      typeof value === "string" && value.startsWith(MARK)
        ? new ExactNumber(value.slice(MARK.length))
        : value,
    ) as Json;
  } catch {
    return undefined;
  }
}

/** True for arrays and objects. */
export function isBranch(value: Json): value is Json[] | { [key: string]: Json } {
  return typeof value === "object" && value !== null && !(value instanceof ExactNumber);
}

/** The members of an array or object, in order. */
export function members(value: Json[] | { [key: string]: Json }): [string | number, Json][] {
  return Array.isArray(value) ? value.map((item, index) => [index, item]) : Object.entries(value);
}

/** Writes a value as JSON with `indent` spaces; exact numbers keep their digits. */
export function writeJson(value: Json, indent = 2, level = 0): string {
  if (value instanceof ExactNumber) return value.digits;
  if (!isBranch(value)) return JSON.stringify(value);
  const items = members(value).map(
    ([key, item]) =>
      (typeof key === "string" ? JSON.stringify(key) + (indent ? ": " : ":") : "") +
      writeJson(item, indent, level + 1),
  );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (items.length === 0) return `${open}${close}`;
  if (indent === 0) return `${open}${items.join(",")}${close}`;
  const pad = `\n${" ".repeat(indent * (level + 1))}`;
  return `${open + pad + items.join(`,${pad}`)}\n${" ".repeat(indent * level)}${close}`;
}

const PYTHON_WORDS: Record<string, string> = { null: "None", true: "True", false: "False" };

/** Writes a value as a Python literal. */
export function writePython(value: Json, level = 0): string {
  if (value instanceof ExactNumber) return value.digits;
  if (!isBranch(value))
    return PYTHON_WORDS[String(value)] && typeof value !== "string"
      ? (PYTHON_WORDS[String(value)] as string)
      : JSON.stringify(value).replace(
          /\u2028|\u2029/g,
          (c) => `\\u${c.charCodeAt(0).toString(16)}`,
        );
  const items = members(value).map(
    ([key, item]) =>
      (typeof key === "string" ? `${JSON.stringify(key)}: ` : "") + writePython(item, level + 1),
  );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const flat = `${open}${items.join(", ")}${close}`;
  if (flat.length + level * 4 <= 88 && !flat.includes("\n")) return flat;
  const pad = `\n${"    ".repeat(level + 1)}`;
  return `${open + pad + items.join(`,${pad}`)},\n${"    ".repeat(level)}${close}`;
}

/** The path of a member as one would write it in Python or JavaScript: `rows[3].name`. */
export function writePath(keys: readonly (string | number)[]): string {
  return keys.reduce<string>((path, key) => {
    if (typeof key === "number") return `${path}[${key}]`;
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) return path ? `${path}.${key}` : key;
    return `${path}[${JSON.stringify(key)}]`;
  }, "");
}

/**
 * How many lines the tree of this text takes when it is all open, counted without parsing it and
 * only up to `most` + 1: cheap enough to be asked of a hundred thousand rows.
 *
 * One line for each scalar, and one for each empty array or object.
 */
export function countLines(text: string, most: number): number {
  let lines = 0;
  let fresh = true; // a value may begin here
  for (let i = 0; i < text.length && lines <= most; i++) {
    const c = text[i] as string;
    if (c === '"') {
      const start = i;
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
      if (text.length - start > 4000) return most + 1;
      let next = i + 1;
      while (next < text.length && (text[next] as string) <= " ") next++;
      if (text[next] === ":") i = next;
      else lines++;
      fresh = text[next] === ":";
    } else if (c === "{" || c === "[") {
      fresh = true;
      // A branch within a branch has a line of its own above its members.
      if (i > 0) lines++;
    } else if (c === "," || c === ":") fresh = true;
    else if (c > " " && c !== "}" && c !== "]") {
      if (fresh) lines++;
      fresh = false;
    }
  }
  return lines === 0 && text.length > 0 ? 1 : lines;
}
