/** The only file that knows Jupyter: a widget's model feeds the timeline, and answers it. */

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { Timeline } from "../model/state";
import { type Message, type Reply, type Request, readMessage, WireError } from "../model/wire";
import { RunsView } from "../views/runs";
import { View } from "../views/view";
import { showEmbedded } from "./page";
import { type Showable, Slots } from "./slots";

interface Traits {
  /** What is shown: a run's timeline, or the list of a book's runs. */
  kind: "timeline" | "runs";
  /** The state as UTF-8 JSON, a snapshot or the runs: a page that is loaded again begins with it. */
  snapshot: DataView | null;
  /** The places in the page where the timeline is to be seen: elements of this class. */
  slot: string;
}

/** After so long without an answer the reader is told why. */
const BUSY_MS = 1500;
const NO_ANSWER =
  "The kernel is busy; it answers when the cell has ended. (After a restart, run the cell above again.)";
/** A second request for a snapshot is not sent sooner than this. */
const GAP_MS = 1000;

/** Asks the kernel, and matches its answers by their ids. */
class Line {
  private readonly waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void }
  >();
  private requests = 0;

  /** @param say tells the reader something; an empty text takes it back. */
  constructor(
    private readonly model: AnyModel<Traits>,
    private readonly say: (text: string) => void,
  ) {}

  readonly ask = (request: Request): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++this.requests;
      const slow = setTimeout(() => this.say(NO_ANSWER), BUSY_MS);
      const done = (): void => {
        clearTimeout(slow);
        this.waiting.delete(id);
        if (this.waiting.size === 0) this.say("");
      };
      this.waiting.set(id, {
        resolve: (value) => {
          done();
          resolve(value);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.model.send({ ...request, id });
    });

  answer(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(new Error(reply.error));
  }
}

/** Whether there is a kernel behind a model: one that was saved in a notebook has none. */
class Heard {
  /** Kept when the kernel has sent something. */
  readonly once: Promise<void>;

  constructor(model: AnyModel<Traits>) {
    this.once = new Promise((resolve) => model.on("msg:custom", () => resolve()));
    model.send({ type: "hello", id: 0 });
  }
}

/** What all views of one widget share: the records and the way to the kernel. */
class Feed {
  readonly heard: Heard;
  readonly timeline = new Timeline();
  private readonly views = new Set<View>();
  private readonly line: Line;
  private askedAt = 0;
  private asking: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly model: AnyModel<Traits>) {
    this.line = new Line(model, (text) => this.say(text));
    model.on("msg:custom", (content: unknown, buffers: DataView[]) =>
      this.take(() => (buffers[0] ? decode(buffers[0]) : content)),
    );
    model.on("change:snapshot", () => this.takeTrait());
    this.heard = new Heard(model);
    this.takeTrait();
    // What was sent before this line ran is lost: deltas may have been.
    if (this.timeline.run?.status !== "succeeded") this.askForSnapshot();
  }

  readonly open = (): View => {
    const view = new View(this.timeline, { request: this.line.ask });
    this.views.add(view);
    return view;
  };

  readonly close = (view: View): void => {
    this.views.delete(view);
    view.dispose();
  };

  private askForSnapshot(): void {
    const pause = this.askedAt + GAP_MS - Date.now();
    if (pause > 0) {
      this.asking ||= setTimeout(() => this.askForSnapshot(), pause);
      return;
    }
    clearTimeout(this.asking);
    this.asking = undefined;
    this.askedAt = Date.now();
    this.model.send({ type: "snapshot", id: 0 });
  }

  private takeTrait(): void {
    const view = this.model.get("snapshot");
    if (view && view.byteLength > 0) this.take(() => decode(view));
  }

  private take(read: () => unknown): void {
    let message: Message;
    try {
      message = readMessage(read());
    } catch (error) {
      this.say(sentence(error));
      return;
    }
    if (message.type === "reply") {
      this.line.answer(message);
      return;
    }
    if (message.type === "runs") return;
    if (this.timeline.apply(message, Date.now() * 1000) === "gap") this.askForSnapshot();
    else for (const view of this.views) view.changed();
  }

  private say(text: string): void {
    for (const view of this.views) view.say(text);
  }
}

/** The same for the list of a book's runs. */
class RunsFeed {
  readonly heard: Heard;
  private readonly views = new Set<RunsView>();
  private readonly line: Line;

  constructor(private readonly model: AnyModel<Traits>) {
    this.line = new Line(model, (text) => this.say(text));
    model.on("msg:custom", (content: unknown, buffers: DataView[]) => {
      try {
        const message = readMessage(buffers[0] ? decode(buffers[0]) : content);
        if (message.type === "reply") this.line.answer(message);
      } catch (error) {
        this.say(sentence(error));
      }
    });
    model.on("change:snapshot", () => {
      for (const view of this.views) this.draw(view);
    });
    this.heard = new Heard(model);
  }

  readonly open = (): RunsView => {
    const view = new RunsView({
      open: (run) => this.line.ask({ type: "open", run }).then((slot) => slotClass(String(slot))),
      refresh: () => this.line.ask({ type: "refresh" }),
    });
    this.views.add(view);
    this.draw(view);
    return view;
  };

  readonly close = (view: RunsView): void => {
    this.views.delete(view);
    view.dispose();
  };

  private say(text: string): void {
    for (const view of this.views) view.say(text);
  }

  private draw(view: RunsView): void {
    const bytes = this.model.get("snapshot");
    if (!bytes || bytes.byteLength === 0) return;
    try {
      const message = readMessage(decode(bytes));
      if (message.type === "runs") view.show(message.runs);
    } catch (error) {
      view.say(sentence(error));
    }
  }
}

/** What the reader is told of a message that cannot be read. */
function sentence(error: unknown): string {
  return error instanceof WireError ? error.message : `Unreadable message: ${String(error)}`;
}

function decode(bytes: DataView): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The class of the elements in which a widget shows itself: see stepbook/notebook/show.py. */
function slotClass(slot: string): string {
  return `stepbook-slot-${slot}`;
}

/**
 * Shows a feed in outputs that hold no widget of their own, but a place for it. Without a kernel the
 * static view stays there: it was written last, and has no buttons that nobody answers.
 */
function fill<V extends Showable>(
  model: AnyModel<Traits>,
  feed: { heard: Heard; open(): V; close(view: V): void },
): () => void {
  let slots: Slots<V> | undefined;
  let ended = false;
  void feed.heard.once.then(() => {
    if (!ended) slots = new Slots(document, slotClass(model.get("slot")), feed.open, feed.close);
  });
  return () => {
    ended = true;
    slots?.dispose();
  };
}

/** Called once for each widget; its views share one feed. */
export default function widget(): {
  initialize(props: InitializeProps<Traits>): () => void;
  render(props: RenderProps<Traits>): () => void;
} {
  let feed: Feed | RunsFeed | undefined;
  const feedOf = (model: AnyModel<Traits>): Feed | RunsFeed => {
    feed ??= model.get("kind") === "runs" ? new RunsFeed(model) : new Feed(model);
    return feed;
  };
  return {
    initialize({ model }) {
      const mine = feedOf(model);
      return mine instanceof Feed ? fill(model, mine) : fill(model, mine);
    },
    render({ model, el }) {
      const mine = feedOf(model);
      const view = mine.open();
      el.append(view.element);
      return () =>
        view instanceof View ? (mine as Feed).close(view) : (mine as RunsFeed).close(view);
    },
  };
}

showEmbedded(document);
