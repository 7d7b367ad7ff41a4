import type { Arrival } from './run.ts'

/** Runs exchanges and knows how many are under way. */
export function countOpen(run: (arrival: Arrival) => Promise<void>) {
  const counter = {
    open: 0,
    async run(arrival: Arrival): Promise<void> {
      counter.open++
      try {
        await run(arrival)
      } finally {
        counter.open--
      }
    },
  }
  return counter
}
