/**
 * Keeps what a reader would lose when elements are moved, hidden or replaced: the focus, a selection
 * of text, how far boxes are scrolled. Notebooks redraw outputs, take cells out of the page while
 * they are scrolled away, and move whole panels; elements forget all of that then.
 */

const NAME = "stepbook-view";
const ARRIVED = "stepbook-arrived";
const LEFT = "stepbook-left";
/** The focus and a selection are given back to what was gone for a moment, not for longer. */
const MOMENT_MS = 2000;
const FOCUSABLE = "button, input, textarea, [tabindex]";

/** An element that tells when it comes into the page and leaves it: nothing else says so at once. */
function arriving(
  classes: string,
  attributes: Record<string, string>,
  children: readonly HTMLElement[],
): HTMLElement {
  // Each widget loads this file of its own; whichever is first defines the element for all.
  if (!customElements.get(NAME)) {
    customElements.define(
      NAME,
      class extends HTMLElement {
        connectedCallback(): void {
          this.dispatchEvent(new Event(ARRIVED));
        }
        disconnectedCallback(): void {
          this.dispatchEvent(new Event(LEFT));
        }
      },
    );
  }
  const element = document.createElement(NAME);
  element.className = classes;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export interface KeptOptions {
  classes: string;
  attributes: Record<string, string>;
  children: readonly HTMLElement[];
  /** The view is in another place of the page, or seen again. */
  arrived?: () => void;
  /** A box that looks after its own place. */
  besides?: Element;
}

/** The root of a view, whose readers lose nothing. */
export class Kept {
  readonly element: HTMLElement;
  private readonly scrolled = new Map<Element, { top: number; left: number }>();
  private readonly mutations = new MutationObserver((records) => this.changed(records));
  private readonly sizes = new ResizeObserver(() => this.resized());
  private focused: HTMLElement | null = null;
  /** What the focused element stands in, from inside out. */
  private around: HTMLElement[] = [];
  private selected: [Node, number, Node, number] | null = null;
  private seen = false;
  private leftAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: KeptOptions) {
    this.element = arriving(options.classes, options.attributes, options.children);
    const { element } = this;
    element.addEventListener(ARRIVED, () => this.arrived());
    element.addEventListener(LEFT, () => {
      this.leftAt = performance.now();
    });
    element.addEventListener("scroll", (event) => this.noteScroll(event.target), {
      capture: true,
      passive: true,
    });
    element.addEventListener("focusin", (event) => this.noteFocus(event.target as HTMLElement));
    element.addEventListener("focusout", () => queueMicrotask(() => this.noteLeave()));
    document.addEventListener("selectionchange", this.noteSelection);
    this.mutations.observe(element, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["hidden"],
    });
    this.sizes.observe(element);
  }

  dispose(): void {
    document.removeEventListener("selectionchange", this.noteSelection);
    this.mutations.disconnect();
    this.sizes.disconnect();
    this.element.remove();
  }

  private noteScroll(box: EventTarget | null): void {
    if (!(box instanceof Element) || box === this.options.besides || box.clientHeight === 0) return;
    this.scrolled.set(box, { top: box.scrollTop, left: box.scrollLeft });
  }

  private noteFocus(target: HTMLElement): void {
    this.focused = target;
    this.around = [];
    for (let at = target.parentElement; at; at = at.parentElement) {
      this.around.push(at);
      if (at === this.element) break;
    }
  }

  /** The focus has left an element: the reader took it elsewhere, or the element went. */
  private noteLeave(): void {
    const { element, focused } = this;
    if (!(element.isConnected && focused) || element.contains(document.activeElement)) return;
    if (focused.isConnected && focused.checkVisibility()) this.focused = null;
    else this.rescue();
  }

  private readonly noteSelection = (): void => {
    if (!this.element.isConnected) return;
    const selection = document.getSelection();
    const { anchorNode, focusNode } = selection ?? {};
    this.selected =
      selection &&
      anchorNode &&
      focusNode &&
      !selection.isCollapsed &&
      this.element.contains(anchorNode)
        ? [anchorNode, selection.anchorOffset, focusNode, selection.focusOffset]
        : null;
  };

  private changed(records: readonly MutationRecord[]): void {
    if (this.scrolled.size > 0) {
      for (const { addedNodes } of records) for (const node of addedNodes) this.scrollBack(node);
    }
    this.rescue();
  }

  /** Scrolls the boxes in an element back to where they were. */
  private scrollBack(within: Node): void {
    for (const [box, { top, left }] of this.scrolled) {
      if (!within.contains(box) || box.clientHeight === 0) continue;
      if (box.scrollTop !== top) box.scrollTop = top;
      if (box.scrollLeft !== left) box.scrollLeft = left;
    }
  }

  /**
   * Gives the focus to the nearest thing that is left, if what had it is gone from the view: without
   * it the next key would go to the notebook.
   */
  private rescue(): void {
    const { focused, element } = this;
    if (!(focused && element.isConnected && element.checkVisibility())) return;
    if (element.contains(focused) && focused.checkVisibility()) return;
    const active = document.activeElement;
    if (active && active !== document.body && active !== focused) return;
    for (const part of this.around) {
      if (!element.contains(part)) continue;
      const left = [part, ...part.querySelectorAll<HTMLElement>(FOCUSABLE)].find(
        (candidate) =>
          candidate.matches(FOCUSABLE) && candidate.tabIndex >= 0 && candidate.checkVisibility(),
      );
      if (!left) continue;
      left.focus({ preventScroll: true });
      return;
    }
  }

  private resized(): void {
    const seen = this.element.checkVisibility();
    if (seen && !this.seen) this.arrived();
    this.seen = seen;
  }

  private arrived(): void {
    const { element, focused, selected } = this;
    this.options.arrived?.();
    this.scrollBack(element);
    const { activeElement } = document;
    const isFree = activeElement === null || activeElement === document.body;
    if (performance.now() - this.leftAt > MOMENT_MS) {
      if (!element.contains(activeElement)) this.focused = null;
      return;
    }
    if (focused && isFree && element.contains(focused)) focused.focus({ preventScroll: true });
    if (selected && element.contains(selected[0]) && element.contains(selected[2])) {
      document.getSelection()?.setBaseAndExtent(...selected);
    }
  }
}
