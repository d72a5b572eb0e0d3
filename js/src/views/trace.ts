/** Errors as elements. */

import { readError, readStack } from "../model/errors";
import { h } from "./dom";

/** The element of an error: type and message first, then notes, then the stack. */
export function errorBlock(text: string): HTMLElement {
  const error = readError(text);
  if (!error) return h("div.sb-error", {}, h("div.sb-message", {}, text));
  const stack = error.stack
    ? h(
        "div.sb-stack",
        {
          tabindex: "0",
          role: "group",
          "aria-label": "Stack",
          "data-lm-suppress-shortcuts": "true",
        },
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
