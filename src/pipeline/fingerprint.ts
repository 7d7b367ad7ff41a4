import { type HashOf, promptOf } from '../audit/prompt-hash.ts'
import type { Stage } from './stage.ts'

export interface Fingerprints {
  /** False keeps no hash. No setting keeps the text. */
  hashPrompts: boolean
  hashOf: HashOf
}

/** Hashes the texts of the messages as they came, joined by newline. The texts themselves are written nowhere. What is no call has no prompt. */
export const fingerprint =
  ({ hashPrompts, hashOf }: Fingerprints): Stage<'caller' | 'call', 'promptHash'> =>
  ({ caller, call, endpoint }) => {
    if (!hashPrompts || (endpoint.kind !== 'call' && call.promptEnd === 0)) return { promptHash: null }
    const promptHash = hashOf(caller.tenant.id, promptOf(call))
    return promptHash instanceof Promise ? promptHash.then((hash) => ({ promptHash: hash })) : { promptHash }
  }
