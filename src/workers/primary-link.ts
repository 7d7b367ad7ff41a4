/** A worker's way to its primary. */
import cluster from 'node:cluster'
import type { Lead } from '../drain.ts'
import type { Figures } from '../telemetry/sum-figures.ts'
import type { Nudge } from '../tending.ts'
import type { FromPrimary, FromWorker } from './messages.ts'

export interface PrimaryLink {
  ready(what: { port: number; caPath: string | null }): void
  /** This process was told by somebody else to end, and does. */
  leave(): void
  /** There is something to do. Said at once, and then not too often. */
  nudge(what: Nudge): void
  /** The metrics of all processes; null where nobody told in time. */
  page(): Promise<string | null>
  /** Answers from now on how this process is. */
  answer(figures: () => Promise<Figures>): void
  /** The last this process says. Resolves when it is said, or cannot be. */
  last(figures: Figures): Promise<void>
  /** Resolves when this process is to stop: it was told to, or its primary is gone. */
  readonly leaving: Promise<Lead>
  readonly hurry: AbortSignal
}

/** Between two nudges. */
const NUDGE_MS = 50
/** A little more than the primary gives the others. */
const PAGE_MS_MAX = 1_500
/** Pages that are waited for; more are told at once that there is none. */
const PAGES_MAX = 64

/** Only in a worker, and once. */
export function linkToPrimary(report: (error: unknown) => void): PrimaryLink {
  const { promise: leaving, resolve: leave } = Promise.withResolvers<Lead>()
  const hurry = new AbortController()
  const pages = new Map<number, (text: string | null) => void>()
  let figures: (() => Promise<Figures>) | undefined
  let asks = 0
  let nudges: Set<Nudge> | undefined

  // Node would end the process at once, with everything under way, when the primary is gone.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
  process.once('disconnect', () => leave('closed'))
  process.on('message', (message: FromPrimary) => {
    if (message.say === 'leave') leave(message.lead)
    else if (message.say === 'hurry') hurry.abort()
    else if (message.say === 'page') pages.get(message.ask)?.(message.text)
    else if (message.say === 'figures') figures?.().then((own) => tell({ say: 'figures', ask: message.ask, figures: own }), report)
  })

  function tell(message: FromWorker, done: () => void = () => {}): void {
    if (process.connected) process.send?.(message, undefined, undefined, done)
    else done()
  }

  function sendNudges(): void {
    const what = [...(nudges ?? [])]
    nudges = undefined
    if (what.length === 0) return
    tell({ say: 'nudge', what })
    nudges = new Set()
    setTimeout(sendNudges, NUDGE_MS).unref()
  }

  return {
    ready: ({ port, caPath }) => tell({ say: 'ready', port, caPath }),
    leave: () => tell({ say: 'leaving' }),
    nudge(what) {
      const isResting = nudges === undefined
      nudges = (nudges ?? new Set()).add(what)
      if (isResting) sendNudges()
    },
    page() {
      if (pages.size >= PAGES_MAX) return Promise.resolve(null)
      const ask = ++asks
      const { promise, resolve } = Promise.withResolvers<string | null>()
      const timer = setTimeout(resolve, PAGE_MS_MAX, null)
      pages.set(ask, resolve)
      tell({ say: 'page', ask })
      return promise.finally(() => {
        clearTimeout(timer)
        pages.delete(ask)
      })
    },
    answer(read) {
      figures = read
    },
    last: (own) => new Promise((resolve) => tell({ say: 'figures', ask: null, figures: own }, resolve)),
    leaving,
    hurry: hurry.signal,
  }
}
