/** One attempt to deliver: a POST through the guarded way out, bounded in time and bytes, whatever the receiver does. */
import { parseOutgoingUrl } from '../egress/check-url.ts'
import type { Egress } from '../egress/dispatcher.ts'
import { createEndpointPools } from './endpoint-pools.ts'
import { withoutSecrets } from './mask-secrets.ts'
import { retryAfterIn } from './schedule.ts'

/** Attempts of one endpoint at once. */
export const ENDPOINT_ATTEMPTS_MAX = 4
const CONNECT_MS_MAX = 5_000
/** Read of an answer's body; with more, the connection is given up. */
const ANSWER_BYTES_MAX = 65_536
const KEPT_CHARACTERS_MAX = 1_000
/** Answers of status 1xx before the one that counts. */
const INTERIM_ANSWERS_MAX = 16

export interface Delivery {
  webhookId: string
  url: string
  headers: Record<string, string>
  body: Uint8Array
  /** What must not be kept, should the receiver repeat it. */
  secrets: readonly string[]
}

export interface Outcome {
  /** Null where no head of an answer came. */
  status: number | null
  /** Why not: a code such as ECONNREFUSED, EGRESS_REFUSED or TIMEOUT; null where a head came. */
  error: string | null
  ms: number
  /** How the answer's body began; null where no head came. */
  response: string | null
  /** As the receiver said it. */
  retryAfterMs: number | null
}

export interface AttemptOptions {
  egress: Pick<Egress, 'pool' | 'check'>
  /** Whether plain HTTP may be spoken where EGRESS_ALLOW opens the address. It is judged at every attempt, since a name may lead elsewhere by now. */
  https: 'required' | 'unless opened'
  /** For a whole attempt. */
  timeoutMs: number
  /** Milliseconds of a clock that only goes forward. */
  now(): number
  /** Milliseconds since 1970. */
  wallNow(): number
}

interface Answer {
  status: number | null
  retryAfter: string | null
  chunks: Uint8Array[]
}

export function createAttempts({ egress, https, timeoutMs, now, wallNow }: AttemptOptions) {
  const pools = createEndpointPools({ egress, connections: ENDPOINT_ATTEMPTS_MAX, connectMs: Math.min(CONNECT_MS_MAX, timeoutMs), timeoutMs })

  /** Fills `answer` as it comes. */
  async function post({ webhookId, url, headers, body }: Delivery, answer: Answer, limit: AbortController): Promise<void> {
    const { protocol, origin, pathname, search } = parseOutgoingUrl(url, 'optional').url
    if (protocol === 'http:') await egress.check(url, { https })
    await pools.use(webhookId, origin, async (pool) => {
      const { signal } = limit
      signal.throwIfAborted()
      let interim = 0
      const onInfo = (): void => {
        if (++interim > INTERIM_ANSWERS_MAX) limit.abort(failure('TOO_MANY_INTERIM_ANSWERS'))
      }
      const response = await pool.request({
        method: 'POST',
        path: pathname + search,
        headers: { ...headers, 'accept-encoding': 'identity' },
        body,
        signal,
        onInfo,
      })
      answer.status = response.statusCode
      answer.retryAfter = [response.headers['retry-after'] ?? null].flat()[0] ?? null
      let bytes = 0
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        answer.chunks.push(chunk.subarray(0, ANSWER_BYTES_MAX - bytes))
        bytes += chunk.length
        if (bytes >= ANSWER_BYTES_MAX) break
      }
    })
  }

  return {
    /** Never rejects: what goes wrong is the outcome. Once a head has come, that decides, whatever becomes of the body. */
    async send(delivery: Delivery): Promise<Outcome> {
      const began = now()
      const limit = new AbortController()
      const timer = setTimeout(() => limit.abort(failure('TIMEOUT')), timeoutMs)
      const answer: Answer = { status: null, retryAfter: null, chunks: [] }
      let error: string | null = null
      try {
        // A connection that is being made does not hear of the signal, so it is waited for here as well.
        await Promise.race([post(delivery, answer, limit), aborted(limit.signal)])
      } catch (thrown) {
        if (answer.status === null) error = codeOf(thrown)
      } finally {
        clearTimeout(timer)
      }
      return {
        status: answer.status,
        error,
        ms: Math.round(now() - began),
        response: answer.status === null ? null : beginningOf(answer.chunks, delivery.secrets),
        retryAfterMs: retryAfterIn(answer.retryAfter, wallNow()),
      }
    },
    /** Cuts off attempts that are under way: they fail. */
    close: () => pools.close(),
  }
}

const failure = (code: string): Error => Object.assign(new Error('The attempt was given up.'), { code })

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

/** Codes are Node's, undici's, OpenSSL's or ours. Messages are not kept: some quote addresses. */
function codeOf(thrown: unknown): string {
  const { code, name } = thrown as { code?: unknown; name?: unknown }
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code)) return code
  return name === 'HTTPParserError' ? 'NOT_HTTP' : 'ERROR'
}

/** What can be read of it, and stored: no control characters, no halves of characters, none of our secrets. */
function beginningOf(chunks: readonly Uint8Array[], secrets: readonly string[]): string {
  const text = withoutSecrets(Buffer.concat(chunks).toString('utf8'), secrets)
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return clean.slice(0, KEPT_CHARACTERS_MAX).toWellFormed()
}
