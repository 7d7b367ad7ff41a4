/**
 * What comes and goes with every call, in no order. Not a Set: each table that one has outgrown points to the next, so that after a full collection of
 * garbage a dead one keeps all that was ever in it, exchanges with all they refer to, until the next.
 */
export class Slots<Item extends object> {
  readonly #items: (Item | null)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#items.length - this.#free.length
  }

  /** Returns where it is, for `empty`. */
  put(item: Item): number {
    const slot = this.#free.pop() ?? this.#items.length
    this.#items[slot] = item
    return slot
  }

  empty(slot: number): void {
    if (this.#items[slot] === null) return
    this.#items[slot] = null
    this.#free.push(slot)
  }

  items(): Item[] {
    return this.#items.filter((item) => item !== null)
  }
}
