/** Clients that call one after the other for as long as they are told: the highest rate that there is, where they do not pause. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

export interface Steady {
  /** Audit ids of the calls that were answered with 200, body and all. */
  readonly acknowledged: string[]
  /** How many answers had which status; 0: none came. */
  readonly statuses: Map<number, number>
  /** Resolves when the last call is over. */
  stop(): Promise<void>
}

/** A call that fails is followed by the next one a moment later, every other after a pause where one is wanted. */
export function keepCalling({
  origin,
  key,
  body,
  clients,
  pauseMs = 0,
}: {
  origin: string
  key: string
  body: string
  clients: number
  pauseMs?: number
}): Steady {
  const pool = new Pool(origin, { connections: clients, pipelining: 1 })
  const acknowledged: string[] = []
  const statuses = new Map<number, number>()
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  let isOver = false
  const one = async (): Promise<void> => {
    while (!isOver) {
      let status = 0
      try {
        const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body })
        await answer.body.dump()
        status = answer.statusCode
        if (status === 200) acknowledged.push(String(answer.headers['x-earthflow-audit-id']))
      } catch {
        // Whoever was called is gone.
      }
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const pause = status === 200 ? pauseMs : 20
      if (pause > 0) await sleep(pause)
    }
  }
  const all = Promise.all(Array.from({ length: clients }, one))
  return {
    acknowledged,
    statuses,
    async stop() {
      isOver = true
      await all
      await pool.destroy()
    },
  }
}
