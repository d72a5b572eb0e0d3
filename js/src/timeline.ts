/** The only file that knows Jupyter: a widget's model feeds the timeline, and answers it. */

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";

import { showEmbedded } from "./page";
import { Slots } from "./slots";
import { Timeline } from "./state";
import { View } from "./view";
import { readMessage, WireError, type Message, type Request } from "./wire";

interface Traits {
  /** The last snapshot, as UTF-8 JSON: a page that is loaded again begins with it. */
  snapshot: DataView | null;
  /** The places in the page where the timeline is to be seen: elements of this class. */
  slot: string;
}

/** After so long without an answer the reader is told why. */
const BUSY_MS = 1500;
/** A second request for a snapshot is not sent sooner than this. */
const GAP_MS = 1000;

/** What all views of one widget share: the records and the way to the kernel. */
class Feed {
  readonly timeline = new Timeline();
  private readonly views = new Set<View>();
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private requests = 0;
  private askedAt = 0;
  private asking: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly model: AnyModel<Traits>) {
    model.on("msg:custom", (content: unknown, buffers: DataView[]) =>
      this.take(() => (buffers[0] ? decode(buffers[0]) : content)),
    );
    model.on("change:snapshot", () => this.takeTrait());
    this.takeTrait();
    // What was sent before this line ran is lost: deltas may have been.
    if (this.timeline.run?.status !== "succeeded") this.askForSnapshot();
  }

  readonly open = (): View => {
    const view = new View(this.timeline, { request: this.request });
    this.views.add(view);
    return view;
  };

  readonly close = (view: View): void => {
    this.views.delete(view);
    view.dispose();
  };

  readonly request = (request: Request): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++this.requests;
      const slow = setTimeout(
        () => this.say("The kernel is busy; it answers when the cell has ended."),
        BUSY_MS,
      );
      const done = (): void => {
        clearTimeout(slow);
        this.waiting.delete(id);
        if (this.waiting.size === 0) this.say("");
      };
      this.waiting.set(id, {
        resolve: (value) => (done(), resolve(value)),
        reject: (error) => (done(), reject(error)),
      });
      this.model.send({ ...request, id });
    });

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
      this.say(error instanceof WireError ? error.message : `Unreadable message: ${String(error)}`);
      return;
    }
    if (message.type === "reply") {
      const waiting = this.waiting.get(message.id);
      if (message.ok) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
      return;
    }
    if (this.timeline.apply(message, Date.now() * 1000) === "gap") this.askForSnapshot();
    else for (const view of this.views) view.changed();
  }

  private say(text: string): void {
    for (const view of this.views) view.say(text);
  }
}

function decode(bytes: DataView): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Called once for each widget; its views share one feed. */
export default function widget(): {
  initialize(props: InitializeProps<Traits>): () => void;
  render(props: RenderProps<Traits>): () => void;
} {
  let feed: Feed | undefined;
  return {
    initialize({ model }) {
      const mine = (feed = new Feed(model));
      // Outputs that hold no widget of their own, but a place for it: see notebook/_show.py.
      const name = `stepbook-slot-${model.get("slot")}`;
      const slots = new Slots(document, name, mine.open, mine.close);
      return () => slots.dispose();
    },
    render({ model, el }) {
      const mine = (feed ??= new Feed(model));
      const view = mine.open();
      el.append(view.element);
      return () => mine.close(view);
    },
  };
}

showEmbedded(document);
