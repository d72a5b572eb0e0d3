/**
 * A JSON value as a tree that folds (the WAI-ARIA tree pattern: one stop for Tab, arrows inside).
 * Branches are built when they are opened, so a large value costs what is seen of it.
 */

import { formatCount, preview } from "../model/format";
import { ExactNumber, isBranch, type Json, members, writeJson, writePath } from "../model/json";
import type { MoreRows } from "../model/tagged";
import { button, copyText, h } from "./dom";
import { icon } from "./icons";
import { tagged } from "./tagged";

const LONG_STRING = 240;
const PAGE = 50;

type Key = string | number;

/** What a line of the tree stands for. */
interface Node {
  value: Json;
  path: readonly Key[];
  open?: (() => void) | undefined;
  close?: (() => void) | undefined;
  more?: (() => void) | undefined;
}

/** A value that is not a branch, as coloured text. */
export function scalar(value: Json): HTMLElement {
  if (typeof value === "string") {
    // Several lines are easier to read as they are than with \n in them.
    return h("span.sb-j-string", {}, value.includes("\n") ? `"${value}"` : JSON.stringify(value));
  }
  if (value instanceof ExactNumber) return h("span.sb-j-number", {}, value.digits);
  if (typeof value === "number") return h("span.sb-j-number", {}, String(value));
  return h("span.sb-j-word", {}, value === null ? "null" : String(value));
}

/** A short value in full as plain lines, for beneath a closed row. Nothing in it takes focus. */
export function lines(value: Json): HTMLElement {
  const box = h("div.sb-lines");
  const walk = (key: Key | null, item: Json, depth: number): void => {
    const line = h("div.sb-j-line", { style: `--sb-depth:${depth}` });
    if (key !== null) line.append(keyLabel(key));
    const special = tagged(item);
    if (special) line.append(special.short);
    else if (!isBranch(item) || members(item).length === 0) {
      line.append(isBranch(item) ? (Array.isArray(item) ? "[]" : "{}") : scalar(item));
    } else {
      if (key !== null) box.append(line);
      for (const [name, inner] of members(item))
        walk(name, inner, key === null ? depth : depth + 1);
      return;
    }
    box.append(line);
  };
  walk(null, value, 0);
  return box;
}

function keyLabel(key: Key): HTMLElement {
  return h(typeof key === "number" ? "span.sb-j-index" : "span.sb-j-key", {}, `${key}: `);
}

/**
 * Builds the tree of a value.
 *
 * @param label what a screen reader calls it.
 * @param more fetches more rows, if the value is a table.
 */
export function tree(value: Json, label: string, more?: MoreRows): HTMLElement {
  const nodes = new WeakMap<Element, Node>();
  const root = h("ul.sb-json", {
    role: "tree",
    "aria-label": label,
    title: "Arrows move and fold, C copies a value as JSON, P its path",
  });

  const build = (
    key: Key | null,
    value: Json,
    path: readonly Key[],
    place: [number, number],
  ): HTMLElement => {
    const line = h("div.sb-j-line", {});
    const element = h("li.sb-j-item", {
      role: "treeitem",
      tabindex: "-1",
      "data-lm-suppress-shortcuts": "true",
      "aria-level": Math.max(1, path.length),
      "aria-posinset": place[0],
      "aria-setsize": place[1],
    });
    element.append(line);
    const special = tagged(value, path.length === 0 ? more : undefined);
    const item = special?.inner ?? value;
    const node: Node = { value: item, path };
    nodes.set(element, node);
    const branch =
      (!special || special.inner !== null) && isBranch(item) && members(item).length > 0;
    line.append(branch ? icon("chevron") : h("span.sb-j-gap"));
    if (key !== null) line.append(keyLabel(key));
    if (special) line.append(special.full);
    if (branch) addBranch(element, line, node);
    else if (special) line.classList.toggle("sb-j-wide", special.inner === null);
    else if (isBranch(item)) line.append(Array.isArray(item) ? "[]" : "{}");
    else if (typeof item === "string" && item.length > LONG_STRING) addLongString(line, node, item);
    else line.append(scalar(item));
    if (path.length > 0) {
      const copy = button("sb-j-copy", { tabindex: "-1", "aria-hidden": "true" }, "copy path");
      line.append(copy);
    }
    return element;
  };

  const addBranch = (element: HTMLElement, line: HTMLElement, node: Node): void => {
    const items = members(node.value as Json[]);
    const count = Array.isArray(node.value) ? `${formatCount(items.length)} items` : "";
    line.append(h("span.sb-j-short", {}, preview(node.value, 80)), h("span.sb-j-count", {}, count));
    const group = h("ul.sb-j-group", { role: "group" });
    element.setAttribute("aria-expanded", "false");
    node.open = () => {
      if (!group.firstChild) fill(group, items, node.path);
      element.append(group);
      element.setAttribute("aria-expanded", "true");
    };
    node.close = () => {
      group.remove();
      element.setAttribute("aria-expanded", "false");
    };
  };

  /** Puts members into a list, a page at a time. */
  const fill = (list: Element, items: readonly [Key, Json][], path: readonly Key[]): void => {
    let shown = 0;
    const page = (): void => {
      for (const [name, inner] of items.slice(shown, shown + PAGE)) {
        list.append(build(name, inner, [...path, name], [++shown, items.length]));
      }
      const left = items.length - shown;
      if (left <= 0) return;
      const text = `show ${formatCount(Math.min(PAGE, left))} more of ${formatCount(left)}`;
      const more = h(
        "li.sb-j-item.sb-j-more",
        {
          role: "treeitem",
          tabindex: "-1",
          "data-lm-suppress-shortcuts": "true",
          "aria-level": path.length + 1,
        },
        h("div.sb-j-line", {}, h("span.sb-j-gap"), h("span.sb-j-link", {}, text)),
      );
      const next = (): void => {
        const before = more.previousElementSibling;
        more.remove();
        page();
        focus(before?.nextElementSibling);
      };
      nodes.set(more, { value: null, path, more: next });
      list.append(more);
    };
    page();
  };

  const addLongString = (line: HTMLElement, node: Node, text: string): void => {
    const part = scalar(`${text.slice(0, LONG_STRING)}…`);
    const link = h("span.sb-j-link", {}, `show all ${formatCount(text.length)} characters`);
    line.append(part, link);
    node.more = () => {
      part.replaceWith(scalar(text));
      link.remove();
      node.more = undefined;
    };
  };

  const focus = (element: Element | null | undefined): void => {
    if (!(element instanceof HTMLElement)) return;
    root.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    element.tabIndex = 0;
    element.focus();
  };

  const act = (element: HTMLElement): void => {
    const node = nodes.get(element);
    if (node?.more) node.more();
    else if (element.getAttribute("aria-expanded") === "true") node?.close?.();
    else node?.open?.();
  };

  const copy = async (element: HTMLElement, what: "path" | "json"): Promise<void> => {
    const node = nodes.get(element);
    if (!node) return;
    const done = await copyText(
      what === "path" ? writePath(node.path) : writeJson(node.value),
      element,
    );
    const note = h(
      "span.sb-j-note",
      { role: "status" },
      done ? "copied" : "copying is not allowed here",
    );
    element.firstElementChild?.append(note);
    setTimeout(() => note.remove(), 1200);
  };

  root.addEventListener("click", (event) => {
    const target = event.target as HTMLElement;
    const element = target.closest<HTMLElement>(".sb-j-item");
    if (!(element && root.contains(element))) return;
    event.stopPropagation();
    if (target.closest(".sb-j-copy")) return void copy(element, "path");
    // A click that ends a selection of text is not meant to fold.
    if (document.getSelection()?.toString()) return;
    focus(element);
    act(element);
  });
  root.addEventListener("keydown", (event) => {
    const element = (event.target as HTMLElement).closest<HTMLElement>(".sb-j-item");
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.target as HTMLElement).closest("button")) return; // its keys are its own
    const all = [...root.querySelectorAll<HTMLElement>(".sb-j-item")];
    const at = all.indexOf(element);
    const expanded = element.getAttribute("aria-expanded");
    const keys: Record<string, () => void> = {
      ArrowDown: () => focus(all[at + 1]),
      ArrowUp: () => focus(all[at - 1]),
      Home: () => focus(all[0]),
      End: () => focus(all.at(-1)),
      ArrowRight: () => (expanded === "true" ? focus(all[at + 1]) : nodes.get(element)?.open?.()),
      ArrowLeft: () =>
        expanded === "true"
          ? nodes.get(element)?.close?.()
          : focus(element.parentElement?.closest(".sb-j-item")),
      Enter: () => act(element),
      " ": () => act(element),
      c: () => void copy(element, "json"),
      p: () => void copy(element, "path"),
    };
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  });

  // The root has no line of its own if it is a branch: its members stand at the margin.
  if (isBranch(value) && !tagged(value) && members(value).length > 0) {
    fill(root, members(value), []);
  } else root.append(build(null, value, [], [1, 1]));
  root.firstElementChild?.setAttribute("tabindex", "0");
  return root;
}
