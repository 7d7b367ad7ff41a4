export interface PortionsOptions<Item> {
  /** Items that are seen to in one turn of the event loop. */
  size: number
  each: (item: Item) => void
  /** Does it when the event loop has handled what is there: `setImmediate`. */
  later: (work: () => void) => void
}

/** For what comes in crowds and can wait a little: each item is seen to once, a few in every turn of the event loop, so that calls have their turn in between. */
export function createPortions<Item>({ size, each, later }: PortionsOptions<Item>): (item: Item) => void {
  const waiting = new Set<Item>()
  let isAsked = false
  function ask(): void {
    if (isAsked || waiting.size === 0) return
    isAsked = true
    later(seeToSome)
  }
  function seeToSome(): void {
    let left = size
    for (const item of waiting) {
      if (left-- === 0) break
      waiting.delete(item)
      each(item)
    }
    isAsked = false
    ask()
  }
  return (item) => {
    waiting.add(item)
    ask()
  }
}
