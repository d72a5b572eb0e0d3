/** The list of a book's runs: newest first, to be searched and filtered; a run opens its timeline. */

import { button, h, setText } from "./dom";
import { formatCount, formatDuration, formatMoment, formatTime } from "./format";
import { icon } from "./icons";
import styles from "./styles.css";
import type { Status } from "./wire";

/** One run of the list, as `stepbook/_html.py` has it in `RunLine`. Times in microseconds. */
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

/** What the list may ask for. */
export interface RunsHost {
  /** Gives the class of the elements in which a run's timeline shows itself. */
  open(run: string): Promise<string>;
  refresh(): Promise<unknown>;
}

const STATUSES: readonly Status[] = ["failed", "running", "pending", "succeeded"];
const SPARKS = 12;
let lists = 0;

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

function sparkline(seconds: readonly number[]): HTMLElement | null {
  if (seconds.length < 2) return null;
  const most = Math.max(...seconds, 1e-9);
  return h(
    "span.sb-spark",
    { role: "img", "aria-label": `the last runs took ${seconds.map(formatDuration).join(", ")}` },
    ...seconds.map((s) => h("span", { style: `height:${Math.max(8, (s / most) * 100).toFixed(0)}%` })),
  );
}

export class RunsView {
  readonly element: HTMLElement;
  private readonly search = h("input.sb-search", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search in loops, keys and ids",
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
  });
  private readonly chips = h("div.sb-chips", { role: "group", "aria-label": "Filter by status" });
  private readonly body = h("tbody", {});
  private readonly note = h("div.sb-empty", {});
  private readonly said = h("div.sb-said", { role: "status" });
  private readonly id = `sb-runs-${++lists}`;
  private readonly opened = new Map<string, string>();
  private runs: readonly RunLine[] = [];
  private status: Status | null = null;

  constructor(private readonly host: RunsHost) {
    const refresh = button("sb-action", { title: "Read the book again" }, "Refresh");
    refresh.addEventListener("click", () => void host.refresh());
    this.search.addEventListener("input", () => this.draw());
    const names = ["", "Loop", "Key", "Started", "Duration", "Steps", "Run"];
    this.element = h(
      "div.sb-root.sb-runs",
      { role: "region", "aria-label": "Runs" },
      h("style", {}, styles),
      h(
        "div.sb-header",
        {},
        h(
          "div.sb-tools",
          { role: "group", "aria-label": "Find" },
          h("span.sb-search-box", {}, icon("search"), this.search),
          this.chips,
          h("span.sb-space"),
          refresh,
        ),
      ),
      h(
        "div.sb-scroll",
        {},
        h(
          "table.sb-grid.sb-runs-table",
          {},
          h(
            "thead",
            {},
            h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name || h("span.sb-said", {}, "Status")))),
          ),
          this.body,
        ),
      ),
      this.note,
      this.said,
    );
  }

  /** Shows these runs. */
  show(runs: readonly RunLine[]): void {
    this.runs = runs;
    this.draw();
  }

  dispose(): void {
    this.element.remove();
  }

  private draw(): void {
    const shown = found(this.runs, this.search.value, this.status);
    const first = new Set<string>();
    const rows: HTMLElement[] = [];
    for (const run of shown) {
      rows.push(this.row(run, first.has(run.loop) ? null : sparkline(lastSeconds(this.runs, run))));
      first.add(run.loop);
      const slot = this.opened.get(run.id);
      if (slot !== undefined) {
        // A slot that is in the page already stays, with the timeline in it.
        const old = document.getElementById(`${this.id}-${run.id}`);
        rows.push(
          old ??
            h("tr.sb-opened", { id: `${this.id}-${run.id}` }, h("td", { colspan: 7 }, h("div", { class: slot }))),
        );
      }
    }
    this.body.replaceChildren(...rows);
    this.writeChips();
    const total = this.runs[0]?.total ?? 0;
    setText(
      this.note,
      this.runs.length === 0
        ? "No runs yet."
        : shown.length === 0
          ? "No run matches."
          : total > this.runs.length
            ? `${formatCount(total - this.runs.length)} older runs: book.runs() has them all.`
            : "",
    );
    this.note.hidden = this.note.textContent === "";
  }

  private row(run: RunLine, spark: HTMLElement | null): HTMLElement {
    const open = button(
      "sb-action.sb-open",
      {
        "aria-expanded": String(this.opened.has(run.id)),
        "aria-controls": `${this.id}-${run.id}`,
      },
      icon("chevron"),
      h("bdi", {}, run.loop),
    );
    open.addEventListener("click", () => void this.toggle(run, open));
    const seconds = secondsOf(run);
    const started = run.started_at ?? run.created_at;
    const steps = `${formatCount(run.succeeded)} of ${formatCount(run.steps)}`;
    return h(
      "tr",
      { "data-status": run.status },
      h("td", {}, h("span.sb-glyph", {}, icon(run.status)), h("span.sb-said", {}, run.status)),
      h("td", {}, open),
      h("td", { title: run.key }, run.key === "null" ? "" : h("bdi", {}, run.key)),
      h("td", { title: formatMoment(started) }, formatTime(started)),
      h("td.sb-numbers", {}, seconds === null ? "" : formatDuration(seconds), spark),
      h("td", {}, run.failed ? `${steps}, ${formatCount(run.failed)} failed` : steps),
      h("td", {}, run.id),
    );
  }

  private async toggle(run: RunLine, from: HTMLElement): Promise<void> {
    if (this.opened.delete(run.id)) return this.drawFocused(run, from);
    try {
      this.opened.set(run.id, await this.host.open(run.id));
      this.drawFocused(run, from);
    } catch (error) {
      setText(this.note, error instanceof Error ? error.message : String(error));
      this.note.hidden = false;
    }
  }

  /** Draws, and gives the focus back to the button that stands for the one that had it. */
  private drawFocused(run: RunLine, from: HTMLElement): void {
    const focused = document.activeElement === from;
    this.draw();
    if (!focused) return;
    this.body.querySelector<HTMLElement>(`[aria-controls="${this.id}-${CSS.escape(run.id)}"]`)?.focus();
  }

  private writeChips(): void {
    const present = STATUSES.filter((status) => this.runs.some((run) => run.status === status));
    this.chips.replaceChildren(
      ...present.map((status) => {
        const count = this.runs.filter((run) => run.status === status).length;
        const chip = button(
          "sb-action.sb-chip",
          { "aria-pressed": String(this.status === status) },
          `${status} ${formatCount(count)}`,
        );
        chip.addEventListener("click", () => {
          this.status = this.status === status ? null : status;
          const at = [...this.chips.children].indexOf(chip);
          this.draw();
          (this.chips.children[at] as HTMLElement | undefined)?.focus();
        });
        return chip;
      }),
    );
  }
}
