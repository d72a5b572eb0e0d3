/** Small helpers to build elements. Data only ever becomes text or an attribute, never markup. */

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
  element.append(...children.filter((child): child is Node | string => !!child || child === ""));
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

/** Copies text; falls back to a selection where the clipboard is not allowed. */
export async function copyText(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { "aria-hidden": "true", style: "position:fixed;opacity:0" });
    area.value = text;
    near.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A button that copies, and says for a moment that it did. */
export function copyButton(
  label: string,
  text: () => string | Promise<string>,
  title = "",
): HTMLButtonElement {
  const element = button("sb-action", { title: title || null }, label);
  element.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copyText(await text(), element.parentElement ?? element);
    element.textContent = done ? "Copied" : "Not allowed here";
    setTimeout(() => (element.textContent = label), 1200);
  });
  return element;
}
