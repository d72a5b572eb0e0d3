/** Small helpers to build elements. Data only ever becomes text or an attribute, never markup. */

/** How long a button says what it has done. */
const SAID_MS = 1500;

type Child = Node | string | null | undefined | false;

/** Creates an element; the first word of `name` is the tag, the rest are its classes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K | `${K}.${string}`,
  attributes: Record<string, string | number | boolean | null> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = name.split(".") as [K, ...string[]];
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(
    ...children.filter((child): child is Node | string => Boolean(child) || child === ""),
  );
  return element;
}

/**
 * Creates a button that keeps its keys to itself.
 *
 * JupyterLab looks for the attribute on the focused element: without it `x` on a focused button
 * cuts the cell.
 */
export function button(
  classes: `sb-${string}`,
  attributes: Record<string, string | number | boolean | null>,
  ...children: Child[]
): HTMLButtonElement {
  return h(
    `button.${classes}`,
    { type: "button", "data-lm-suppress-shortcuts": "true", ...attributes },
    ...children,
  );
}

/** Sets the text of an element if it is another one. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Where the reader is: what has the focus, and the ends of a selection of text. */
export function readerNodes(): Node[] {
  const selection = document.getSelection();
  const ends = selection?.isCollapsed === false ? [selection.anchorNode, selection.focusNode] : [];
  return [document.activeElement, ...ends].filter((node) => node !== null);
}

/**
 * Makes these the children of an element, in this order. What the reader is in is not moved if its
 * place among the others of that kind is the same: an element that is moved loses its focus, its
 * selection and how far it is scrolled.
 */
export function arrange(parent: Element, children: readonly Element[]): void {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const reader = readerNodes().filter((node) => parent.contains(node));
  let cursor = parent.firstElementChild;
  for (const child of children) {
    // Those that stand before it and belong behind it are moved instead.
    if (reader.some((node) => child.contains(node))) {
      while (cursor && cursor !== child) {
        const behind = cursor;
        cursor = cursor.nextElementSibling;
        parent.append(behind);
      }
    }
    if (child === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(child, cursor);
  }
}

/** Copies text; falls back to a selection where the clipboard is not allowed. */
export async function copyText(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = h("textarea", { "aria-hidden": "true", style: "position:fixed;opacity:0" });
    area.value = text;
    near.append(area);
    area.select();
    const done = document.execCommand("copy");
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    area.remove();
    return done;
  }
}

/** A button that copies and says so for a moment; `refresh` rewrites its label. */
export function copyButton(
  label: () => string,
  text: () => string | Promise<string>,
): HTMLButtonElement & { refresh(): void } {
  const element = button("sb-action", {}, label());
  let said: ReturnType<typeof setTimeout> | undefined;
  const refresh = (): void => {
    if (said === undefined) setText(element, label());
  };
  element.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copyText(await text(), element.parentElement ?? element);
    clearTimeout(said);
    said = setTimeout(() => {
      said = undefined;
      refresh();
    }, SAID_MS);
    setText(element, done ? "Copied" : "Not allowed here");
  });
  return Object.assign(element, { refresh });
}

/** An element that is made again only when what it shows has changed. */
export class Part {
  private key: string | undefined;
  private made: HTMLElement | null = null;

  of<E extends HTMLElement | null>(key: string, make: () => E): E {
    if (this.key !== key) {
      this.key = key;
      this.made = make();
    }
    return this.made as E;
  }
}
