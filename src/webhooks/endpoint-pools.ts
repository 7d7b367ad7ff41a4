/** Connections to endpoints. Each endpoint has its own, which it shares with no other, even of the same address. */
import type { Dispatcher, Pool } from 'undici'
import type { Egress } from '../egress/dispatcher.ts'

/** Endpoints with connections at once; beyond it, those that rested longest lose theirs. */
const ENDPOINTS_MAX = 256
/** Without an attempt for so long, an endpoint's connections are closed. */
const REST_MS = 10_000

export interface PoolBounds {
  /** Attempts of one endpoint at once. */
  connections: number
  /** Milliseconds. */
  connectMs: number
  /** A whole attempt. */
  timeoutMs: number
}

interface Held {
  origin: string
  pool: Pool
  /** Attempts under way. */
  users: number
  rest: NodeJS.Timeout | undefined
}

export function createEndpointPools({
  egress,
  connections,
  connectMs,
  timeoutMs,
  endpointsMax = ENDPOINTS_MAX,
}: PoolBounds & { egress: Pick<Egress, 'pool'>; endpointsMax?: number }) {
  // In the order of use, the one that rested longest first.
  const held = new Map<string, Held>()

  /** Whoever still uses it is cut off. */
  function drop(webhookId: string, one: Held): void {
    clearTimeout(one.rest)
    if (held.get(webhookId) === one) held.delete(webhookId)
    one.pool.destroy().catch(() => {})
  }

  function open(origin: string): Held {
    const pool = egress.pool(origin, { connections, connectMs, firstByteMs: timeoutMs, idleMs: timeoutMs })
    for (const [id, other] of held) {
      if (held.size < endpointsMax) break
      if (other.users === 0) drop(id, other)
    }
    return { origin, pool, users: 0, rest: undefined }
  }

  return {
    /** The endpoint's connections while `work` lasts. One that has moved gets new ones. Throws EgressRefused where the origin is none, and what `work` throws. */
    async use<Result>(webhookId: string, origin: string, work: (pool: Dispatcher) => Promise<Result>): Promise<Result> {
      let one = held.get(webhookId)
      if (one && one.origin !== origin) {
        if (one.users === 0) drop(webhookId, one)
        one = undefined
      }
      one ??= open(origin)
      held.delete(webhookId)
      held.set(webhookId, one)
      clearTimeout(one.rest)
      one.users++
      const mine = one
      try {
        return await work(mine.pool)
      } finally {
        mine.users--
        if (mine.users === 0) {
          if (held.get(webhookId) === mine) mine.rest = setTimeout(() => drop(webhookId, mine), REST_MS).unref()
          else drop(webhookId, mine)
        }
      }
    },
    get size() {
      return held.size
    },
    /** Cuts off whatever is under way. */
    close(): void {
      for (const [id, one] of held) drop(id, one)
    },
  }
}
