/** The word that a run's made-up secrets contain, so that one of them is known wherever it turns up, whole or in part. */
import { randomBytes } from 'node:crypto'

/** A multiple of four, so that the base64url of a master key may begin with it. */
const WORD_CHARACTERS = 24
const BEGINNING = 'canary'
const MASTER_KEY_BYTES = 32

/** Letters and digits alone: it fits into whatever a secret is made of. */
export function newCanaryWord(): string {
  const random = randomBytes(2 * WORD_CHARACTERS)
    .toString('base64url')
    .replaceAll(/[-_]/g, '')
  return (BEGINNING + random).slice(0, WORD_CHARACTERS)
}

/** What `npm test` gave all its files, and whose traces it looks for when they have ended; without it each process has one of its own. */
export const CANARY_WORD = process.env.EARTHFLOW_TEST_CANARY ?? newCanaryWord()

/** 32 bytes in base64url, as EARTHFLOW_MASTER_KEY wants them. */
export const canaryMasterKey = (word = CANARY_WORD): string => word + randomBytes(MASTER_KEY_BYTES).toString('base64url').slice(word.length)

/** Any other secret. */
export const canarySecret = (beginning: string): string => `${beginning}${CANARY_WORD}-${randomBytes(12).toString('hex')}`
