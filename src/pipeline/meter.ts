import { billOf } from './bill.ts'
import type { Settler } from './stage.ts'

/** Says what the exchange cost, and gives back what it held: its permits, and of the tokens it took what it did not use. */
export const meter: Settler = (known, outcome) => {
  const { admission, trace } = known
  if (!admission) return undefined
  trace.bill = billOf(known, outcome)
  const { usage } = trace.bill
  return admission.hold.settle(usage === null ? 0 : usage.input_tokens + usage.output_tokens)
}
