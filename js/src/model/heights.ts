/** Where rows of different heights stand, one beneath the other. Pure. */

export class Heights {
  private keys: readonly number[] = [];
  private sizes = new Float64Array(0);
  /** Where each row begins; right up to and with the index `sure`. */
  private starts = new Float64Array(1);
  private sure = 0;
  private readonly measured = new Map<number, number>();

  /**
   * Says which rows there are.
   *
   * @param keys what each row is known by, in order.
   * @param estimate the height of a row that was never measured.
   */
  show(keys: readonly number[], estimate: (key: number) => number): void {
    const count = keys.length;
    this.keys = keys;
    if (this.sizes.length < count) {
      this.sizes = new Float64Array(count * 2);
      this.starts = new Float64Array(count * 2 + 1);
    }
    for (let i = 0; i < count; i++) {
      const key = keys[i] as number;
      this.sizes[i] = this.measured.get(key) ?? estimate(key);
    }
    this.sure = 0;
  }

  /** Takes the real height of a row; true if it is another one than was thought. */
  measure(index: number, height: number): boolean {
    const key = this.keys[index];
    if (key === undefined) return false;
    this.measured.set(key, height);
    if (this.sizes[index] === height) return false;
    this.sizes[index] = height;
    this.sure = Math.min(this.sure, index);
    return true;
  }

  /** Forgets what was measured: after a change that concerns every row. */
  forget(): void {
    this.measured.clear();
  }

  /** Where a row begins; the height of all rows for the index behind the last. */
  start(index: number): number {
    for (let i = this.sure; i < index; i++) {
      this.starts[i + 1] = (this.starts[i] as number) + (this.sizes[i] as number);
    }
    this.sure = Math.max(this.sure, index);
    return this.starts[index] as number;
  }

  size(index: number): number {
    return this.sizes[index] ?? 0;
  }

  /** The height of all rows. */
  get total(): number {
    return this.start(this.keys.length);
  }

  /** The row at this distance from the top; the last one further down. */
  at(offset: number): number {
    let low = 0;
    let high = this.keys.length - 1;
    if (this.total <= offset) return Math.max(0, high);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.start(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
