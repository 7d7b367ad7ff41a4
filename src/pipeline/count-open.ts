import type { Refusal } from '../errors.ts'
import type { Arrival } from './run.ts'
import type { Exchange } from './stage.ts'

/** Runs one exchange, and tells at once which it is. The promise never rejects. */
type Run = (arrival: Arrival, began: (exchange: Pick<Exchange, 'cut'>) => void) => Promise<void>

/** Runs exchanges and knows which are under way. */
export function countOpen(run: Run) {
  const open = new Set<Pick<Exchange, 'cut'>>()
  return {
    get open(): number {
      return open.size
    },
    run(arrival: Arrival): Promise<void> {
      let mine: Pick<Exchange, 'cut'> | undefined
      const ended = run(arrival, (exchange) => open.add((mine = exchange)))
      return ended.then(() => {
        if (mine) open.delete(mine)
      })
    },
    /** Ends every exchange whose answer is not complete: whoever called is told this. Each settles as ever, and counts as open until it has. */
    cutAll(refusal: Refusal): void {
      for (const exchange of open) exchange.cut(refusal)
    },
  }
}
