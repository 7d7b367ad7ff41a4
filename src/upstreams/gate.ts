/** A call that wants one of an upstream's connections. */
export interface Visitor {
  /** There is a place, which it has until it leaves. */
  go(): void
  /** Kept by the gate. */
  place: 'none' | 'waits' | 'has'
}

/** Stands before an upstream's connections: who has to wait for one waits here, where he can leave, never in the pool, where he could not. */
export interface Gate {
  /** Calls that wait. */
  readonly waiting: number
  /** Lets it go as soon as there is a place, at once or later, first come first served. False where `queueMax` wait already. */
  enter(visitor: Visitor, queueMax: number): boolean
  /** Gives its place back, or ends its wait; does nothing for one that has neither. */
  leave(visitor: Visitor): void
}

/** `max`: calls under way at once, one for each connection. */
export function createGate(max: number): Gate {
  const queue = new Set<Visitor>()
  let underWay = 0

  function begin(visitor: Visitor): void {
    visitor.place = 'has'
    underWay++
    visitor.go()
  }

  function beginNext(): void {
    const [next] = queue
    if (!next) return
    queue.delete(next)
    begin(next)
  }

  return {
    get waiting() {
      return queue.size
    },
    enter(visitor, queueMax) {
      if (underWay < max) begin(visitor)
      else if (queue.size < queueMax) {
        visitor.place = 'waits'
        queue.add(visitor)
      } else return false
      return true
    },
    leave(visitor) {
      const { place } = visitor
      visitor.place = 'none'
      if (place === 'waits') queue.delete(visitor)
      else if (place === 'has') {
        underWay--
        if (queue.size > 0) beginNext()
      }
    },
  }
}
