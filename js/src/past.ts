/** How a step went before: its earlier attempts, and the same step in the previous run. */

import { valueBlock } from "./body";
import { button, h } from "./dom";
import { formatDuration, formatTime } from "./format";
import { icon } from "./icons";
import { errorLine } from "./trace";
import type { Past, Request, Row } from "./wire";

/** The elements of one execution. */
function pastBlock(past: Past): HTMLElement {
  const facts = [
    past.run === undefined ? `attempt ${past.attempt}` : `in ${past.run}`,
    past.status,
    past.started_at === null ? "" : formatTime(past.started_at),
    past.seconds === null ? "" : formatDuration(past.seconds),
  ];
  return h(
    "div.sb-past",
    { "data-status": past.status },
    h("div.sb-meta", {}, icon(past.status), facts.filter(Boolean).join(" · ")),
    past.error !== null && h("div.sb-message", { dir: "auto" }, errorLine(past.error)),
    past.return !== null && past.return !== "null" && valueBlock("Return", past.return),
  );
}

/** A button that opens what it asks the kernel for. */
function opener(
  label: string,
  nothing: string,
  ask: () => Promise<unknown>,
): { toggle: HTMLElement; box: HTMLElement } {
  const box = h("div.sb-past-box", { role: "status" });
  const toggle = button("sb-action", { "aria-expanded": "false" }, label);
  toggle.addEventListener("click", () => {
    const opened = toggle.getAttribute("aria-expanded") === "true";
    toggle.setAttribute("aria-expanded", String(!opened));
    if (opened) return box.replaceChildren();
    box.replaceChildren(h("div.sb-quiet", {}, "Asking the kernel…"));
    ask().then(
      (answer) => {
        const list = answer as Past[];
        box.replaceChildren(...(list.length ? list.map(pastBlock) : [nothing]));
      },
      (error: unknown) => box.replaceChildren(error instanceof Error ? error.message : String(error)),
    );
  });
  return { toggle, box };
}

/** What can be asked about an opened row. */
export function pastOf(
  row: Row,
  ask: (request: Request) => Promise<unknown>,
): { toggles: HTMLElement[]; boxes: HTMLElement[] } {
  const parts = [
    opener("Previous run", "No earlier run of this loop has this step.", () =>
      ask({ type: "previous", name: row.name }),
    ),
  ];
  if (row.attempt > 1) {
    parts.unshift(
      opener("Attempts", "The record has no attempts of this step.", () =>
        ask({ type: "attempts", name: row.name }),
      ),
    );
  }
  return { toggles: parts.map((part) => part.toggle), boxes: parts.map((part) => part.box) };
}
