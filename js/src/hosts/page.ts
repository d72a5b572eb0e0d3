/** A page of its own: `run.to_html()` puts the recorded run and this bundle into one file. */

import { Timeline } from "../model/state";
import { readMessage } from "../model/wire";
import { View } from "../views/view";

/** Marks the element that holds a recorded run as JSON. */
export const DATA_TYPE = "application/vnd.stepbook.timeline+json";

/** Shows every recorded run that the page holds. */
export function showEmbedded(page: Document): void {
  for (const data of page.querySelectorAll(`script[type="${DATA_TYPE}"]`)) {
    const timeline = new Timeline();
    const view = new View(timeline, {});
    data.replaceWith(view.element);
    try {
      const message = readMessage(JSON.parse(data.textContent));
      if (message.type === "snapshot") {
        timeline.apply(message, message.now);
        timeline.stoppedAt = message.now;
      }
    } catch (error) {
      view.say(error instanceof Error ? error.message : String(error));
    }
    view.changed();
  }
}
