import { promptHashOf } from '../audit/prompt-hash.ts'
import type { Stage } from './stage.ts'

export interface Fingerprints {
  /** False keeps no hash. No setting keeps the text. */
  hashPrompts: boolean
}

/** Hashes the texts of the messages as they came, joined by newline. The texts themselves are written nowhere. */
export const fingerprint =
  ({ hashPrompts }: Fingerprints): Stage<'call', 'promptHash'> =>
  ({ call }) => ({ promptHash: hashPrompts ? promptHashOf(call) : null })
