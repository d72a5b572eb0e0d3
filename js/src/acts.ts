/** What can be done with a step from its row: redo, rewind, deliver. Needs a kernel to ask. */

import { button, h } from "./dom";
import { parseJson } from "./json";
import type { Request, Row } from "./wire";

type Ask = (request: Request) => Promise<unknown>;

/** A line that tells how an action went. */
function outcome(): { element: HTMLElement; follow(asked: Promise<unknown>): void } {
  const element = h("div.sb-quiet.sb-outcome", { role: "status" });
  const follow = (asked: Promise<unknown>): void => {
    element.textContent = "Asking the kernel…";
    asked.then(
      (answer) => (element.textContent = String(answer)),
      (error: unknown) =>
        (element.textContent = error instanceof Error ? error.message : String(error)),
    );
  };
  return { element, follow };
}

/** The buttons of an opened row, and a form where something is awaited. */
export function actions(row: Row, ask: Ask): HTMLElement {
  if (row.status === "running" && row.kind === "scan") {
    return h("div", {}, deliveryForm(row, ask));
  }
  if (row.status === "running" || row.status === "pending") return h("div.sb-acts");
  const { element, follow } = outcome();
  const one = (label: string, title: string, type: "redo" | "rewind"): HTMLElement => {
    const act = button("sb-action", { title }, label);
    act.addEventListener("click", () => follow(ask({ type, name: row.name })));
    return act;
  };
  return h(
    "div.sb-acts",
    {},
    one("Redo", "Execute this step again in the next pass", "redo"),
    one("Rewind to here", "Execute this step and all after it again in the next pass", "rewind"),
    element,
  );
}

/** A field for the payload of a scan that is awaited. */
function deliveryForm(row: Row, ask: Ask): HTMLElement {
  const { element, follow } = outcome();
  const field = h("textarea.sb-payload", {
    rows: 3,
    "aria-label": `Payload of ${row.name}, as JSON`,
    placeholder: '{"heart_rate": 61}',
    spellcheck: "false",
    "data-lm-suppress-shortcuts": "true",
  });
  const send = button("sb-action.sb-main", {}, "Deliver");
  send.addEventListener("click", () => {
    const payload = field.value.trim() || "null";
    if (parseJson(payload) === undefined) {
      element.textContent = "This is no JSON.";
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    field.removeAttribute("aria-invalid");
    follow(ask({ type: "deliver", name: row.name, payload }));
  });
  return h(
    "div.sb-acts.sb-delivery",
    {},
    h("div.sb-label", {}, "Deliver the payload this step waits for, as JSON"),
    field,
    h("div", {}, send),
    element,
  );
}
