/** The head of the timeline: the run, the tools to find and fold, and the run's input and output. */

import {
  formatCount,
  formatDuration,
  formatElapsed,
  formatMoment,
  formatTime,
  preview,
} from "../model/format";
import { parseJson } from "../model/json";
import type { Choice, Timeline } from "../model/state";
import type { Run, Status } from "../model/wire";
import { arrange, button, copyButton, h, Part, setText } from "./dom";
import { icon } from "./icons";
import { valueBlock } from "./value";

const STATUSES: readonly Status[] = ["failed", "running", "pending", "succeeded"];

/** What the tools of the head do. */
export interface HeaderActions {
  search(query: string): void;
  filter(status: Status | null): void;
  foldAll(open: boolean): void;
  nextFailed(step: 1 | -1): void;
  toggleBars(): void;
}

/** "12 of 14 steps", with what failed. */
export function stepsText(timeline: Timeline): string {
  const { pending, running, succeeded, failed } = timeline.steps;
  const total = pending + running + succeeded + failed;
  if (total === 0) return "";
  const steps = `${formatCount(total)} step${total === 1 ? "" : "s"}`;
  const text = succeeded === total ? steps : `${formatCount(succeeded)} of ${steps}`;
  return failed ? `${text}, ${formatCount(failed)} failed` : text;
}

function secondsOf(run: Run, now: number): number | null {
  const start = run.started_at ?? run.created_at;
  const end = run.completed_at ?? (run.status === "running" ? now : null);
  return end === null ? null : (end - start) / 1e6;
}

export class Header {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  private readonly glyph = h("span.sb-glyph", { "aria-hidden": "true" });
  private readonly loop = h("strong.sb-loop", { dir: "auto" });
  private readonly status = h("span.sb-status", {});
  private readonly steps = h("span", {});
  private readonly when = h("span", {});
  private readonly took = h("span", {});
  private readonly id = copyButton(
    () => this.run?.id ?? "",
    () => this.run?.id ?? "",
  );
  private readonly chips = h("div.sb-chips", { role: "group", "aria-label": "Filter by status" });
  private readonly found = h("span.sb-quiet.sb-found", {});
  private readonly values = h("div.sb-values", {});
  private readonly failedTools: HTMLElement;
  private readonly bars: HTMLButtonElement;
  private readonly tools: HTMLElement;
  private run: Run | null = null;
  private readonly input = new Part();
  private readonly output = new Part();

  constructor(private readonly actions: HeaderActions) {
    this.search = h("input.sb-search", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search in names, returns and errors",
      title: "Search in names, returns and errors ( / )",
      spellcheck: "false",
      autocomplete: "off",
      "data-lm-suppress-shortcuts": "true",
    });
    this.search.addEventListener("input", () => actions.search(this.search.value));
    const tool = (label: string, title: string, act: () => void): HTMLButtonElement => {
      const element = button("sb-action", { title }, label);
      element.addEventListener("click", act);
      return element;
    };
    this.failedTools = tool("Next failed", "Go to the next failed step ( n )", () =>
      actions.nextFailed(1),
    );
    this.bars = tool("Bars", "Show or hide when each step ran ( b )", actions.toggleBars);
    this.bars.classList.add("sb-bars");
    this.tools = h(
      "div.sb-tools",
      { role: "group", "aria-label": "Find and fold" },
      h("span.sb-search-box", {}, icon("search"), this.search),
      this.chips,
      this.found,
      h("span.sb-space"),
      this.failedTools,
      tool("Expand all", "Open every step ( e )", () => actions.foldAll(true)),
      tool("Collapse all", "Close every step ( c )", () => actions.foldAll(false)),
      this.bars,
    );
    this.element = h(
      "div.sb-header",
      {},
      h(
        "div.sb-run",
        {},
        this.glyph,
        this.loop,
        this.status,
        h("span.sb-facts", {}, this.steps, this.took, this.when, this.id),
      ),
      this.values,
      this.tools,
    );
  }

  /** Brings the head up to date with the run and the reader's choice. */
  update(
    timeline: Timeline,
    choice: Choice,
    shown: { rows: number; note: string; bars: boolean },
    now: number,
  ): void {
    const { run } = timeline;
    if (!run) return;
    const before = this.run;
    this.run = run;
    if (before?.status !== run.status) {
      this.element.dataset.status = run.status;
      this.glyph.replaceChildren(icon(run.status));
      setText(this.status, run.status);
    }
    setText(this.loop, run.loop);
    setText(this.steps, stepsText(timeline));
    const started = run.started_at ?? run.created_at;
    setText(this.when, `${run.started_at === null ? "created" : "started"} ${formatTime(started)}`);
    this.when.title = formatMoment(started);
    this.id.refresh();
    this.id.title = `Copy the run's id ${run.id}`;
    this.writeValues(run);
    this.writeChips(timeline, choice);
    // Nothing goes away from under the focus.
    this.failedTools.hidden = timeline.steps.failed === 0 && !hasFocus(this.failedTools);
    this.bars.setAttribute("aria-pressed", String(shown.bars));
    this.tools.hidden = timeline.rows.size === 0;
    const filtered = choice.query.trim() !== "" || choice.status !== null;
    setText(this.found, filtered ? `${formatCount(shown.rows)} shown${shown.note}` : "");
    this.tick(now);
  }

  tick(now: number): void {
    if (!this.run) return;
    const seconds = secondsOf(this.run, now);
    const running = this.run.status === "running";
    setText(
      this.took,
      seconds === null ? "" : running ? formatElapsed(seconds) : formatDuration(seconds),
    );
  }

  private writeChips(timeline: Timeline, choice: Choice): void {
    const counts = timeline.steps;
    const old = [...this.chips.children] as HTMLButtonElement[];
    const focused = old.find(hasFocus)?.dataset.status;
    const present = STATUSES.filter(
      (status) => counts[status] > 0 || choice.status === status || status === focused,
    );
    this.chips.hidden = present.length < 2 && choice.status === null && focused === undefined;
    const chips = present.map((status) => {
      const chip =
        old.find((element) => element.dataset.status === status) ??
        button("sb-action.sb-chip", { "data-status": status });
      chip.setAttribute("aria-pressed", String(choice.status === status));
      setText(chip, `${status} ${formatCount(counts[status])}`);
      chip.onclick = () =>
        this.actions.filter(chip.getAttribute("aria-pressed") === "true" ? null : status);
      return chip;
    });
    arrange(this.chips, chips);
  }

  private writeValues(run: Run): void {
    const parts = [
      this.input.of(String(run.input), () => ioBox("Input", run.input)),
      this.output.of(String(run.output), () => ioBox("Output", run.output)),
    ];
    arrange(
      this.values,
      parts.filter((part) => part !== null),
    );
  }
}

function hasFocus(element: Element): boolean {
  return element.contains(document.activeElement);
}

/** What went into the run or came out of it, in one line that opens. */
function ioBox(label: string, text: string | null): HTMLElement | null {
  if (text === null || text === "null") return null;
  const value = parseJson(text);
  const open = button(
    "sb-action.sb-io",
    { "aria-expanded": "false" },
    icon("chevron"),
    h("span.sb-label", {}, label),
    h("span.sb-io-short", {}, value === undefined ? text.slice(0, 120) : preview(value, 120)),
  );
  const box = h("div.sb-io-box", {}, open);
  const inside = new Part();
  open.addEventListener("click", () => {
    const opened = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!opened));
    arrange(box, opened ? [open] : [open, inside.of(text, () => valueBlock(label, text))]);
  });
  return box;
}
