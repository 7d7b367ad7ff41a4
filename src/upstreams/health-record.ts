/** Puts on record that upstreams went down and came back: behind the calls' back, and of one that flutters only now and then. */
import { keyOf, type Transition } from './health.ts'

export interface HealthRecordOptions {
  /** Writes it down. Where it rejects it is asked again, a bounded number of times. */
  record: (upstream: Transition['upstream'], action: 'upstream.down' | 'upstream.up', details: Record<string, unknown>) => Promise<void>
  /** After how many failures the record says that this one went down; null: it does not say that it is down. */
  failuresOnRecord: (upstream: Transition['upstream']) => Promise<number | null>
  /** Is told of what could not be written down, or read. */
  report: (error: unknown, context: Record<string, unknown>) => void
  pauseMs?: number
}

export interface HealthRecord {
  changed(transition: Transition): void
  /** One answered. With its first answer the record is asked whether it is down, for this process may be younger than that. */
  answered(upstream: Transition['upstream']): void
  /** Writes nothing any more; resolves when what is being written is. */
  close(): Promise<void>
}

/** From one round to the next: what came back in between is not told. */
const PAUSE_MS = 5_000
const TRIES_MAX = 12
/** Upstreams that wait to be written down. Beyond, others are not. */
const WAITING_MAX = 1_000
/** Upstreams of which the record is asked. Beyond, it is not asked of others. */
const ASKED_MAX = 10_000

export function createHealthRecord({ record, failuresOnRecord, report, pauseMs = PAUSE_MS }: HealthRecordOptions): HealthRecord {
  /** The newest of each that differs from what the record says. */
  const waiting = new Map<string, { transition: Transition; tries: number }>()
  /** Those that are down as the record says. */
  const down = new Set<string>()
  /** Those of which the record was asked, or is being asked. */
  const asked = new Set<string>()
  /** Of those it was asked in vain: how often. */
  const inVain = new Map<string, number>()
  let asking: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  let isClosed = false

  function begin(): void {
    timer = undefined
    if (isClosed || waiting.size === 0) return
    writing = round().then(() => {
      writing = undefined
      if (!isClosed) timer = setTimeout(begin, pauseMs).unref()
    })
  }

  async function round(): Promise<void> {
    for (const [key, one] of [...waiting]) {
      if (isClosed) return
      if (waiting.get(key) !== one) continue
      const { upstream, isDown, failures, status, error } = one.transition
      waiting.delete(key)
      say(key, isDown)
      try {
        await record(upstream, isDown ? 'upstream.down' : 'upstream.up', isDown ? { status, error, failures } : { failures })
      } catch (cause) {
        say(key, !isDown)
        // What has changed meanwhile is what the record says still.
        const isMoot = waiting.delete(key)
        if (!isMoot && ++one.tries < TRIES_MAX) waiting.set(key, one)
        else if (!isMoot) report(cause, { upstream: upstream.name })
      }
    }
  }

  async function ask(key: string, upstream: Transition['upstream']): Promise<void> {
    if (isClosed) return
    try {
      const failures = await failuresOnRecord(upstream)
      inVain.delete(key)
      // What was seen here meanwhile is newer.
      if (failures === null || down.has(key) || waiting.has(key)) return
      down.add(key)
      changed({ upstream, isDown: false, failures, status: null, error: null })
    } catch (cause) {
      const tries = (inVain.get(key) ?? 0) + 1
      inVain.set(key, tries)
      if (tries < TRIES_MAX) setTimeout(() => asked.delete(key), pauseMs).unref()
      else report(cause, { upstream: upstream.name })
    }
  }

  const say = (key: string, isDown: boolean): unknown => (isDown ? down.add(key) : down.delete(key))

  function changed(transition: Transition): void {
    const key = keyOf(transition.upstream)
    if (transition.isDown === down.has(key)) waiting.delete(key)
    else if (waiting.has(key) || waiting.size < WAITING_MAX) waiting.set(key, { transition, tries: 0 })
    if (timer === undefined && writing === undefined) begin()
  }

  return {
    changed,
    answered(upstream) {
      const key = keyOf(upstream)
      if (asked.has(key) || asked.size >= ASKED_MAX) return
      asked.add(key)
      asking = asking.then(() => ask(key, upstream))
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      await Promise.all([writing, asking])
    },
  }
}
