/** The list of a book's runs: newest first, to be searched and filtered; a run opens its timeline. */

import { formatCount, formatDuration, formatMoment, formatTime } from "../model/format";
import { found, lastSeconds, secondsOf } from "../model/runs";
import type { RunLine, Status } from "../model/wire";
import { arrange, button, h, setText } from "./dom";
import { icon } from "./icons";
import { Kept } from "./keep";
import styles from "./styles.css";

/** What the list may ask for. */
export interface RunsHost {
  /** Gives the class of the elements in which a run's timeline shows itself. */
  open(run: string): Promise<string>;
  refresh(): Promise<unknown>;
}

const STATUSES: readonly Status[] = ["failed", "running", "pending", "succeeded"];
let lists = 0;

function sparkline(seconds: readonly number[]): HTMLElement | null {
  if (seconds.length < 2) return null;
  const most = Math.max(...seconds, 1e-9);
  return h(
    "span.sb-spark",
    { role: "img", "aria-label": `the last runs took ${seconds.map(formatDuration).join(", ")}` },
    ...seconds.map((s) =>
      h("span", { style: `height:${Math.max(8, (s / most) * 100).toFixed(0)}%` }),
    ),
  );
}

/** The row of one run; the elements stay while what they say changes. */
class RunRow {
  readonly element: HTMLTableRowElement;
  private readonly glyph = h("span.sb-glyph", {});
  private readonly status = h("span.sb-said", {});
  private readonly steps = h("td", {});
  private readonly started = h("td", {});
  private readonly took = h("span", {});
  private readonly spark = h("span.sb-as-one", {});
  readonly open: HTMLButtonElement;

  /** @param below the id of the row that holds the opened timeline. */
  constructor(run: RunLine, below: string, toggle: () => void) {
    this.open = button(
      "sb-action.sb-open",
      { "aria-expanded": "false", "aria-controls": below },
      icon("chevron"),
      h("bdi", {}, run.loop),
    );
    this.open.addEventListener("click", toggle);
    this.element = h(
      "tr",
      {},
      h("td", {}, this.glyph, this.status),
      h("td", {}, this.open),
      h("td", { title: run.key }, run.key === "null" ? "" : h("bdi", {}, run.key)),
      this.started,
      h("td.sb-numbers", {}, this.took, this.spark),
      this.steps,
      h("td", {}, run.id),
    );
  }

  update(run: RunLine, opened: boolean, last: readonly number[]): void {
    if (this.element.dataset.status !== run.status) this.glyph.replaceChildren(icon(run.status));
    this.element.dataset.status = run.status;
    setText(this.status, run.status);
    const started = run.started_at ?? run.created_at;
    setText(this.started, formatTime(started));
    this.started.title = formatMoment(started);
    const seconds = secondsOf(run);
    setText(this.took, seconds === null ? "" : formatDuration(seconds));
    const spark = sparkline(last);
    this.spark.replaceChildren(...(spark ? [spark] : []));
    const steps = `${formatCount(run.succeeded)} of ${formatCount(run.steps)}`;
    setText(this.steps, run.failed ? `${steps}, ${formatCount(run.failed)} failed` : steps);
    this.open.setAttribute("aria-expanded", String(opened));
  }
}

export class RunsView {
  readonly element: HTMLElement;
  private readonly kept: Kept;
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
  private readonly notice = h("div.sb-notice", { role: "alert", hidden: true });
  private readonly rows = new Map<string, RunRow>();
  private readonly chipOf = new Map<Status, HTMLButtonElement>();
  /** The rows beneath opened runs, each with the place that the run's timeline takes. */
  private readonly opened = new Map<string, HTMLElement>();
  private runs: readonly RunLine[] = [];
  private status: Status | null = null;

  constructor(private readonly host: RunsHost) {
    const refresh = button("sb-action", { title: "Read the book again" }, "Refresh");
    refresh.addEventListener("click", () => void this.refresh());
    this.search.addEventListener("input", () => this.draw());
    const names = ["", "Loop", "Key", "Started", "Duration", "Steps", "Run"];
    const parts = [
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
            h(
              "tr",
              {},
              ...names.map((name) =>
                h("th", { scope: "col" }, name || h("span.sb-said", {}, "Status")),
              ),
            ),
          ),
          this.body,
        ),
      ),
      this.notice,
      this.note,
      this.said,
    ];
    this.kept = new Kept({
      classes: "sb-root sb-runs",
      attributes: { role: "region", "aria-label": "Runs" },
      children: parts,
    });
    this.element = this.kept.element;
  }

  /** Shows these runs. */
  show(runs: readonly RunLine[]): void {
    this.runs = runs;
    this.draw();
  }

  /** Says something that is wrong; an empty text takes it away. */
  say(text: string): void {
    setText(this.notice, text);
    this.notice.hidden = text === "";
  }

  dispose(): void {
    this.kept.dispose();
  }

  private draw(): void {
    const shown = found(this.runs, this.search.value, this.status);
    const first = new Set<string>();
    const elements: HTMLElement[] = [];
    for (const run of shown) {
      const row = this.rows.get(run.id) ?? this.makeRow(run);
      const below = this.opened.get(run.id);
      row.update(run, below !== undefined, first.has(run.loop) ? [] : lastSeconds(this.runs, run));
      first.add(run.loop);
      elements.push(row.element);
      if (below) elements.push(below);
    }
    arrange(this.body, elements);
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

  private makeRow(run: RunLine): RunRow {
    const row = new RunRow(run, this.idOf(run), () => void this.toggle(run));
    this.rows.set(run.id, row);
    return row;
  }

  private idOf(run: RunLine): string {
    return `${this.id}-${run.id}`;
  }

  private async refresh(): Promise<void> {
    setText(this.said, "Asking the kernel…");
    try {
      await this.host.refresh();
      this.say("");
      setText(this.said, "The list is up to date.");
    } catch (error) {
      setText(this.said, "");
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private async toggle(run: RunLine): Promise<void> {
    if (this.opened.delete(run.id)) return this.draw();
    try {
      const slot = h("div", { class: await this.host.open(run.id) });
      this.opened.set(
        run.id,
        h("tr.sb-opened", { id: this.idOf(run) }, h("td", { colspan: 7 }, slot)),
      );
      this.say("");
      this.draw();
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  private writeChips(): void {
    const present = STATUSES.filter(
      (status) => this.status === status || this.runs.some((run) => run.status === status),
    );
    arrange(
      this.chips,
      present.map((status) => this.chip(status)),
    );
  }

  private chip(status: Status): HTMLElement {
    let chip = this.chipOf.get(status);
    if (!chip) {
      chip = button("sb-action.sb-chip", {});
      this.chipOf.set(status, chip);
      chip.addEventListener("click", () => {
        this.status = this.status === status ? null : status;
        this.draw();
      });
    }
    const count = this.runs.filter((run) => run.status === status).length;
    chip.setAttribute("aria-pressed", String(this.status === status));
    setText(chip, `${status} ${formatCount(count)}`);
    return chip;
  }
}
