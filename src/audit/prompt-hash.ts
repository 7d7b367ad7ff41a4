/** The fingerprints that stand in a row instead of what they are taken of. */
import { createHmac, hash } from 'node:crypto'
import type { Texts } from '../call.ts'
import { Failure } from '../errors.ts'

/** Whoever reads the log can guess a short prompt from its SHA-256, but not from what was hashed under a key of its tenant. */
export const hashModes = ['sha256', 'hmac-sha256'] as const
export type HashMode = (typeof hashModes)[number]

export interface HashOptions {
  mode: HashMode
  /** The key of a tenant's hashes, 32 bytes. */
  keyOf: (tenantId: string) => Promise<Uint8Array>
}

/**
 * The mode and hex, such as `sha256:2cf2…`. Of nothing it is plain SHA-256 in either mode: there is nothing to guess. Rejects with Failure('unavailable')
 * where the tenant's key cannot be read.
 */
export type HashOf = (tenantId: string, bytes: Uint8Array) => string | Promise<string>

export function createHashOf({ mode, keyOf }: HashOptions): HashOf {
  if (mode === 'sha256') return (_tenantId, bytes) => sha256(bytes)
  return async (tenantId, bytes) => {
    if (bytes.length === 0) return EMPTY_HASH
    const key = await keyOf(tenantId).catch((error: unknown) => Promise.reject(new Failure('unavailable', error)))
    return `hmac-sha256:${createHmac('sha256', key).update(bytes).digest('hex')}`
  }
}

/** What a prompt's hash is taken over: the texts of the messages as they came, joined by newline. */
export const promptOf = ({ text, promptEnd }: Pick<Texts, 'text' | 'promptEnd'>): Buffer => text.subarray(0, promptEnd)

/** `sha256:` and hex. */
export const sha256 = (bytes: Uint8Array): string => `sha256:${hash('sha256', bytes)}`

const EMPTY_HASH = sha256(Buffer.alloc(0))

/** The hashes that a query may mean: the digits alone may be of either mode. */
export const hashesMeant = (asked: string): string[] => (asked.includes(':') ? [asked] : hashModes.map((mode) => `${mode}:${asked}`))
