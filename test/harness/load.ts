/** An open load: so many calls a second whatever becomes of them, on a bounded number of connections, timed one by one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

export interface Answered {
  status: number
  ms: number
  headers: Record<string, string | string[] | undefined>
}

export interface Offered {
  origins: readonly string[]
  key: string
  body: string
  perSecond: number
  ms: number
  headers?: Record<string, string>
  /** Per origin. A call that finds none free waits in the client, and its waiting counts. */
  connections?: number
}

const TICK_MS = 1

/** Calls in turn at every origin. Resolves when the last answer is there; a call that failed has status 0. */
export async function offer({ origins, key, body, perSecond, ms, headers = {}, connections = 64 }: Offered): Promise<Answered[]> {
  const pools = origins.map((origin) => new Pool(origin, { connections, pipelining: 1 }))
  const answers: Promise<Answered>[] = []
  const sent = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers }
  const call = async (pool: Pool): Promise<Answered> => {
    const began = performance.now()
    try {
      const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers: sent, body })
      await answer.body.dump()
      return { status: answer.statusCode, ms: performance.now() - began, headers: answer.headers }
    } catch {
      return { status: 0, ms: performance.now() - began, headers: {} }
    }
  }
  const began = performance.now()
  for (let at = 0; at < ms; at = performance.now() - began) {
    for (const due = Math.floor((at * perSecond) / 1000); answers.length < due; ) answers.push(call(pools[answers.length % pools.length]!))
    await sleep(TICK_MS)
  }
  const all = await Promise.all(answers)
  await Promise.all(pools.map((pool) => pool.close()))
  return all
}

/** The value below which this share (0 to 1) lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
