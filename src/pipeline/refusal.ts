import { Failure, Refusal } from '../errors.ts'
import type { Outcome } from './stage.ts'

/** The refusal a client is shown for an outcome; null where it is shown none. */
export function refusalOf(outcome: Outcome, requestId: string): Refusal | null {
  if (outcome.kind === 'refused') return outcome.refusal
  if (outcome.kind !== 'failed') return null
  const reason = outcome.error instanceof Failure ? outcome.error.reason : 'internal'
  // Where the cause may be told, it says more.
  if (outcome.error instanceof Failure && outcome.error.cause instanceof Refusal) return outcome.error.cause
  const { message, headers } = sentences[reason] ?? sentences.internal
  return new Refusal(reason, `${message} (${requestId})`, { headers })
}
const RETRY = ['retry-after', '2']
const internal = { message: 'Earthflow could not complete this call.', headers: [] as string[] }
const sentences: Partial<Record<Failure['reason'], typeof internal>> & { internal: typeof internal } = {
  internal,
  upstream_unreachable: { message: 'The provider could not be reached, or broke off its answer.', headers: [] },
  upstream_timeout: { message: 'The provider did not answer in time.', headers: [] },
  reply_unreadable: { message: 'The provider’s answer could not be judged by the rules for replies, so it was not passed on.', headers: [] },
  scan_budget: {
    message: 'The text cannot be searched within bounds: it has codes within codes, or takes too long. Send it in plain text, or in parts.',
    headers: [],
  },
  unavailable: { message: 'Earthflow cannot take this call now; try again.', headers: RETRY },
  audit_unavailable: { message: 'The call cannot be recorded now; try again.', headers: RETRY },
}
