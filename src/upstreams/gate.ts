/** Stands before an upstream's connections: who has to wait for one waits here, where he can leave, never in the pool, where he could not. */
export interface Gate {
  /** Calls that wait. */
  readonly waiting: number
  /**
   * Calls `go` as soon as there is a place, at once or later, first come first served. What is returned, and handed to `go`, gives the place back or ends the
   * wait. Null where `queueMax` wait already.
   */
  enter(queueMax: number, go: (leave: () => void) => void): (() => void) | null
}

/** `max`: calls under way at once, one for each connection. */
export function createGate(max: number): Gate {
  const queue = new Set<() => void>()
  let underWay = 0

  return {
    get waiting() {
      return queue.size
    },
    enter(queueMax, go) {
      let state: 'waits' | 'goes' | 'left' = 'waits'
      const begin = (): void => {
        queue.delete(begin)
        state = 'goes'
        underWay++
        go(leave)
      }
      const leave = (): void => {
        if (state === 'goes') {
          underWay--
          state = 'left'
          const [next] = queue
          next?.()
        }
        state = 'left'
        queue.delete(begin)
      }
      if (underWay < max) begin()
      else if (queue.size < queueMax) queue.add(begin)
      else return null
      return leave
    },
  }
}
