/** What the primary does with its workers: keeps them, hears what they have to say, and adds up what they count. */
import { describeError, type Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Nudge } from '../tending.ts'
import { type Child, type Crew, createCrew } from './crew.ts'
import { createSum } from './sum-metrics.ts'
import { createWatch } from './watch.ts'

export interface PrimaryOptions {
  size: number
  fork: () => Child
  /** There is something to do. */
  nudge: (what: Nudge) => void
  metrics: Metrics
  /** How long open calls may take to end. */
  drainMs: number
  log: Log
}

/** For everything that a worker does when its calls have ended. */
const CLOSE_MS_MAX = 60_000

export function createPrimary({ size, fork, nudge, metrics, drainMs, log }: PrimaryOptions): Crew & { page(): Promise<string | null> } {
  const later = (ms: number, work: () => void): (() => void) => {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  }
  const now = (): number => performance.now()
  const crew = createCrew({
    size,
    fork,
    heard(worker, message) {
      watch.heard(worker)
      if (message.say === 'nudge') for (const what of message.what) nudge(what)
      else if (message.say === 'figures') sum.told(worker, message.ask, message.figures)
      else if (message.say === 'page') void sum.page().then((text) => worker.tell({ say: 'page', ask: message.ask, text }))
    },
    ended(worker) {
      sum.ended(worker)
      // It may not have come to say so.
      nudge('deliveries')
      nudge('checkpoint')
    },
    log: {
      info: (what, sentence) => log.info(what, sentence),
      warn: (what, sentence) => log.warn(what, sentence),
      error: (what, sentence) => log.error(what, sentence),
    },
    later,
    now,
    leaveMsMax: drainMs + CLOSE_MS_MAX,
  })
  const sum = createSum({
    serving: () => crew.serving,
    own: metrics.figures,
    later,
    now,
    report: (error) => log.error(describeError(error), 'the metrics of several processes could not be added up'),
  })
  const watch = createWatch({
    serving: () => crew.serving,
    ask: sum.ask,
    later,
    hangs: (worker) => log.error({ worker: worker.pid }, 'a worker answers nothing any more and is ended'),
  })
  metrics.gauge('earthflow_workers', 'Processes that serve calls, those that are about to end included.', () => crew.serving.length)
  metrics.counted('earthflow_workers_replaced_total', 'Workers that were replaced, by why: crash or restart.', () => crew.replaced, 'why')
  return Object.assign(crew, { page: sum.page })
}
