/** How a step went before: its earlier attempts, and the same step in the previous run. */

import { errorLine } from "../model/errors";
import { formatDuration, formatTime } from "../model/format";
import type { Past, Request, Row } from "../model/wire";
import { button, h } from "./dom";
import { icon } from "./icons";
import { valueBlock } from "./value";

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
class Opener {
  readonly box = h("div.sb-past-box", { role: "status" });
  readonly toggle: HTMLElement;

  /**
   * @param nothing what is said if there is nothing.
   * @param ask asks the kernel.
   */
  constructor(
    label: string,
    private readonly nothing: string,
    private readonly ask: () => Promise<unknown>,
  ) {
    this.toggle = button("sb-action", { "aria-expanded": "false" }, label);
    this.toggle.addEventListener("click", () => {
      const opened = this.isOpen;
      this.toggle.setAttribute("aria-expanded", String(!opened));
      if (opened) this.box.replaceChildren();
      else this.load();
    });
  }

  /** Asks again, if it is open: there is more to show now. */
  refresh(): void {
    if (this.isOpen) this.load();
  }

  private get isOpen(): boolean {
    return this.toggle.getAttribute("aria-expanded") === "true";
  }

  private load(): void {
    if (!this.box.firstChild) this.box.append(h("div.sb-quiet", {}, "Asking the kernel…"));
    const show = (...parts: (HTMLElement | string)[]): void => {
      if (this.isOpen) this.box.replaceChildren(...parts);
    };
    this.ask().then(
      (answer) => {
        const list = answer as Past[];
        show(...(list.length ? list.map(pastBlock) : [this.nothing]));
      },
      (error: unknown) => show(error instanceof Error ? error.message : String(error)),
    );
  }
}

/** What can be asked about an opened row. */
export class PastTools {
  private readonly attempts: Opener;
  private readonly previous: Opener;
  private attempt: number;

  constructor(row: Row, ask: (request: Request) => Promise<unknown>) {
    const { name } = row;
    this.attempt = row.attempt;
    this.attempts = new Opener("Attempts", "The record has no attempts of this step.", () =>
      ask({ type: "attempts", name }),
    );
    this.previous = new Opener("Previous run", "No earlier run of this loop has this step.", () =>
      ask({ type: "previous", name }),
    );
  }

  /** Brings what is open up to date. */
  update(row: Row): void {
    if (this.attempt !== row.attempt) this.attempts.refresh();
    this.attempt = row.attempt;
  }

  get toggles(): HTMLElement[] {
    return this.shown.map((opener) => opener.toggle);
  }

  get boxes(): HTMLElement[] {
    return this.shown.map((opener) => opener.box);
  }

  private get shown(): Opener[] {
    return this.attempt > 1 ? [this.attempts, this.previous] : [this.previous];
  }
}
