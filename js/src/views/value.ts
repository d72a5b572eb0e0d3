/** A value of a run or a step with its heading. */

import { parseJson, writeJson, writePython } from "../model/json";
import type { MoreRows } from "../model/tagged";
import { copyButton, h } from "./dom";
import { tree } from "./tree";

/** A value as JSON with a heading: the tree, or the text if it is no JSON. */
export function valueBlock(label: string, text: string, more?: MoreRows): HTMLElement {
  const value = parseJson(text);
  return h(
    "div.sb-value",
    {},
    h(
      "div.sb-value-head",
      {},
      h("span.sb-label", {}, label),
      copyButton(
        () => "Copy JSON",
        () => (value === undefined ? text : writeJson(value)),
      ),
      value !== undefined &&
        copyButton(
          () => "Copy as Python",
          () => writePython(value),
        ),
    ),
    value === undefined ? h("pre.sb-plain", {}, text) : tree(value, label, more),
  );
}
