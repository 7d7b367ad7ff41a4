/** Secrets of webhooks: what they look like, and the keys that they are. */
import { randomBytes } from 'node:crypto'

/** Of Standard Webhooks, before base64 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). */
const PREFIX = 'whsec_'
const KEY_BYTES_MIN = 24
const KEY_BYTES_MAX = 64
/** Of what is generated. */
const KEY_BYTES = 32

export const SECRET_RULE = 'Must be "whsec_" and the base64 of 24 to 64 bytes, or 24 to 128 printable characters without blanks.'
const PRINTABLE = /^[\x21-\x7e]{24,128}$/

/** What begins like a secret of Standard Webhooks must be one: a mistyped one would sign with a key that its receiver does not have. */
export function isSecret(text: string): boolean {
  if (!text.startsWith(PREFIX)) return PRINTABLE.test(text)
  const key = decoded(text)
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX && key.toString('base64') === text.slice(PREFIX.length)
}

export const generateSecret = (): string => PREFIX + randomBytes(KEY_BYTES).toString('base64')

export interface SigningKeys {
  /** Of `webhook-signature`, as Standard Webhooks has it: the decoded bytes of a `whsec_` secret, those of the text of any other. */
  standard: Buffer
  /** Of `x-earthflow-signature`: the bytes of the text, exactly as it was shown. */
  body: Buffer
}

export function signingKeys(secret: string): SigningKeys {
  const body = Buffer.from(secret)
  return { standard: secret.startsWith(PREFIX) ? decoded(secret) : body, body }
}

const decoded = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), 'base64')
