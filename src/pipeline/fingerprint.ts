import { promptHashOf } from '../audit/prompt-hash.ts'
import type { Stage } from './stage.ts'

export interface Fingerprints {
  /** False keeps no hash. No setting keeps the text. */
  hashPrompts: boolean
}

/** Hashes the texts of the messages as they came, joined by newline. The texts themselves are written nowhere. What is no call has no prompt. */
export const fingerprint =
  ({ hashPrompts }: Fingerprints): Stage<'call', 'promptHash'> =>
  ({ call, endpoint }) => ({ promptHash: hashPrompts && (endpoint.kind === 'call' || call.promptEnd > 0) ? promptHashOf(call) : null })
