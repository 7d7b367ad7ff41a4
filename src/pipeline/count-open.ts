import type { Refusal } from '../errors.ts'
import { Slots } from '../slots.ts'
import type { Arrival } from './run.ts'
import type { Exchange } from './stage.ts'

/** Runs one exchange, and tells at once which it is. The promise never rejects. */
type Run = (arrival: Arrival, began: (exchange: Pick<Exchange, 'cut'>) => void) => Promise<void>

/** Runs exchanges and knows which are under way. */
export function countOpen(run: Run) {
  const open = new Slots<Pick<Exchange, 'cut'>>()
  return {
    get open(): number {
      return open.size
    },
    run(arrival: Arrival): Promise<void> {
      let slot = -1
      const ended = run(arrival, (exchange) => {
        slot = open.put(exchange)
      })
      return ended.then(() => {
        if (slot >= 0) open.empty(slot)
      })
    },
    /** Ends every exchange whose answer is not complete: whoever called is told this. Each settles as ever, and counts as open until it has. */
    cutAll(refusal: Refusal): void {
      for (const exchange of open.items()) exchange.cut(refusal)
    },
  }
}
