/**
 * Shows views in every element of a class. Notebooks redraw an output whenever it changes, and may
 * draw it several times, so such elements come and go.
 */

/** What can be shown in an element. */
export interface Showable {
  readonly element: HTMLElement;
}

export class Slots<V extends Showable> {
  private readonly shown = new Map<Element, V>();
  private readonly elements: HTMLCollectionOf<Element>;
  private readonly observer = new MutationObserver(() => this.sweep());

  /**
   * @param name the class of the elements.
   * @param create makes one more view.
   * @param remove disposes of an unused view.
   */
  constructor(
    page: Document,
    name: string,
    private readonly create: () => V,
    private readonly remove: (view: V) => void,
  ) {
    this.elements = page.getElementsByClassName(name);
    this.observer.observe(page.body, { childList: true, subtree: true });
    this.sweep();
  }

  dispose(): void {
    this.observer.disconnect();
    for (const view of this.shown.values()) this.remove(view);
    this.shown.clear();
  }

  private sweep(): void {
    for (const element of this.elements) {
      if (this.shown.get(element)?.element.parentNode === element) continue;
      const view = this.spare() ?? this.create();
      this.shown.set(element, view);
      element.replaceChildren(view.element);
    }
    // Of outputs that were replaced, the view that was not taken over above has no use any more.
    for (const [element, view] of this.shown) {
      if (!element.isConnected && view.element.parentNode !== element) this.shown.delete(element);
    }
  }

  /**
   * A view in an element that has left the page: it goes on in the new one, with what was opened in
   * it. First one whose element was replaced; one that left with all around it may come back, as
   * notebooks take cells out of the page while they are scrolled away, and then gets another view.
   */
  private spare(): V | undefined {
    const gone = [...this.shown].filter(([element]) => !element.isConnected);
    const found = gone.find(([element]) => element.parentNode === null) ?? gone[0];
    if (!found) return undefined;
    this.shown.delete(found[0]);
    return found[1];
  }
}
