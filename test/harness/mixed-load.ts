/** Calls at a rate and streams one after the other, from a thread of its own, so that whoever measures beside it is not held up by it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Pool } from 'undici'
import { chat } from './client.ts'
import { DONE } from './provider.ts'

export interface Mixed {
  origin: string
  key: string
  /** Calls, whatever becomes of them. */
  perSecond: number
  /** At once. */
  streams: number
}

/** Since the thread began. */
export interface MixedSeen {
  calls: number
  streams: number
  /** Told to come back, as a machine that has too much else to do tells everybody. */
  shed: number
  /** Request ids of what was answered in full. */
  answered: string[]
  /** How the others ended: a status with what was said, or a code. */
  problems: string[]
}

export function startMixedLoad(mixed: Mixed) {
  const thread = new Worker(new URL(import.meta.url), { workerData: mixed })
  const problem = new Promise<never>((_, reject) => thread.once('error', reject))
  problem.catch(() => {}) // it is told when the load ends
  return {
    begin: (): void => thread.postMessage('begin'),
    /** Resolves when the last one is answered. */
    end(): Promise<MixedSeen> {
      const seen = new Promise<MixedSeen>((resolve) => thread.once('message', resolve))
      thread.postMessage('end')
      return Promise.race([seen, problem])
    },
    close: (): Promise<unknown> => thread.terminate(),
  }
}

const PLAIN = chat('x')
const STREAMED = chat('x', { stream: true })

/** On connections that are kept. */
function createLoad({ origin, key, perSecond, streams: atOnce }: Mixed) {
  const seen: MixedSeen = { calls: 0, streams: 0, shed: 0, answered: [], problems: [] }
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  let isOn = false
  let pool: Pool
  let underWay: Promise<unknown>[] = []

  async function call(body: string): Promise<void> {
    const began = performance.now()
    try {
      const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body })
      const text = await answer.body.text()
      if (answer.statusCode === 503 && /"code":"(?:overloaded|unavailable)"/.test(text)) seen.shed++
      else if (answer.statusCode !== 200) seen.problems.push(`${answer.statusCode} ${text.slice(0, 200)}`)
      else if (body === STREAMED && !text.endsWith(DONE)) seen.problems.push(`cut: ${text.slice(-200)}`)
      else seen.answered.push(String(answer.headers['x-earthflow-request-id']))
    } catch (error) {
      seen.problems.push(`${(error as NodeJS.ErrnoException).code ?? String(error)} after ${Math.round(performance.now() - began)} ms`)
    }
  }
  async function calls(): Promise<void> {
    const began = performance.now()
    const pending = new Set<Promise<void>>()
    for (let made = 0; isOn; await sleep(1_000 / perSecond)) {
      for (const due = ((performance.now() - began) * perSecond) / 1_000; made < due; made++) {
        seen.calls++
        const one = call(PLAIN).finally(() => pending.delete(one))
        pending.add(one)
      }
    }
    await Promise.all(pending)
  }
  async function streams(): Promise<void> {
    for (; isOn; seen.streams++) await call(STREAMED)
  }
  return {
    seen,
    begin(): void {
      isOn = true
      pool = new Pool(origin, { connections: atOnce + perSecond, pipelining: 1 })
      underWay = [calls(), ...Array.from({ length: atOnce }, streams)]
    },
    async end(): Promise<void> {
      isOn = false
      await Promise.all(underWay)
      await pool.close()
    },
  }
}

if (!isMainThread && parentPort) {
  const port = parentPort
  const load = createLoad(workerData as Mixed)
  port.on('message', (what: 'begin' | 'end') => {
    if (what === 'begin') load.begin()
    else void load.end().then(() => port.postMessage(load.seen))
  })
}
