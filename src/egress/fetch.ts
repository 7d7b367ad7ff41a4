/** A small document from somewhere, such as the keys of an identity provider: one guarded connection, no redirects, bounded. */
import type { Egress } from './dispatcher.ts'

const ANSWER_BYTES_MAX = 1 << 20
const SILENCE_MS = 5_000
/** Statuses whose answers have no body (Fetch standard). */
const BODILESS = new Set([101, 103, 204, 205, 304])

/** Answers with what was sent back, whatever its status. Throws where it may not be reached, or does not answer within the signal's time. */
export const createFetch =
  ({ pool }: Pick<Egress, 'pool'>) =>
  async (url: string, signal: AbortSignal): Promise<Response> => {
    const { origin, pathname, search } = new URL(url)
    const connection = pool(origin, { connections: 1, firstByteMs: SILENCE_MS, idleMs: SILENCE_MS, responseBytesMax: ANSWER_BYTES_MAX })
    try {
      const headers = { accept: 'application/json', 'accept-encoding': 'identity' }
      const { statusCode, body } = await connection.request({ method: 'GET', path: pathname + search, headers, signal })
      const text = await body.text()
      return new Response(BODILESS.has(statusCode) ? null : text, { status: statusCode })
    } finally {
      await connection.destroy()
    }
  }
