/** The headers of a delivery: those of Standard Webhooks, and one that anybody can check with a line of shell. */
import { createHmac } from 'node:crypto'
import { signingKeys } from './secrets.ts'

export interface Signed {
  /** Of the event: the same at every attempt. */
  id: string
  /** Of the attempt: seconds since 1970. */
  seconds: number
  /** Exactly what is sent. */
  body: Uint8Array
}

/**
 * Signs with every secret, the current one first (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
 * `webhook-signature` is over id, time and body; `x-earthflow-signature` is what `openssl dgst -sha256 -hmac "$SECRET"` says of the body.
 */
export function signedHeaders(secrets: readonly string[], { id, seconds, body }: Signed): Record<string, string> {
  const keys = secrets.map(signingKeys)
  const standard = keys.map((key) => `v1,${createHmac('sha256', key.standard).update(`${id}.${seconds}.`).update(body).digest('base64')}`)
  const plain = keys.map((key) => `sha256=${createHmac('sha256', key.body).update(body).digest('hex')}`)
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': standard.join(' '),
    'x-earthflow-signature': plain.join(','),
  }
}
