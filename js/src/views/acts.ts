/** What can be done with a step from its row: redo, rewind, deliver. Needs a kernel to ask. */

import { parseJson } from "../model/json";
import type { Request, Row } from "../model/wire";
import { button, h } from "./dom";

/** Asks for a change of the step in a row; the view tells the answer, whatever becomes of the row. */
export type Act = (seq: number, request: Request) => void;

/** The buttons of an opened row. */
export function buttons(row: Row, act: Act): HTMLElement[] {
  if (row.status === "running" || row.status === "pending") return [];
  const one = (label: string, title: string, type: "redo" | "rewind"): HTMLElement => {
    const element = button("sb-action", { title }, label);
    element.addEventListener("click", () => act(row.seq, { type, name: row.name }));
    return element;
  };
  return [
    one("Redo", "Execute this step again in the next pass", "redo"),
    one("Rewind to here", "Execute this step and all after it again in the next pass", "rewind"),
  ];
}

/** A field for the payload of a scan that is awaited; null where none is. */
export function deliveryForm(row: Row, act: Act): HTMLElement | null {
  if (row.status !== "running" || row.kind !== "scan") return null;
  const refusal = h("div.sb-quiet", { role: "alert" });
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
    const isJson = parseJson(payload) !== undefined;
    field.setAttribute("aria-invalid", String(!isJson));
    refusal.textContent = isJson ? "" : "This is no JSON.";
    if (isJson) act(row.seq, { type: "deliver", name: row.name, payload });
    else field.focus();
  });
  return h(
    "div.sb-delivery",
    {},
    h("div.sb-label", {}, "Deliver the payload this step waits for, as JSON"),
    field,
    h("div", {}, send),
    refusal,
  );
}
