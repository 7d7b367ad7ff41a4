/** The workers of a primary: how many there are, who takes the place of one that ends, and how all are replaced by new ones. */
import type { Lead } from '../drain.ts'
import type { FromPrimary, FromWorker } from './messages.ts'

/** A process that was forked. */
export interface Child {
  readonly pid: number
  tell(message: FromPrimary): void
  /** Ends it at once. */
  kill(): void
  onMessage(hear: (message: FromWorker) => void): void
  /** It has ended: with this code, or null where a signal ended it. */
  onEnd(ended: (code: number | null) => void): void
}

export interface CrewOptions {
  size: number
  fork: () => Child
  /** Whatever a worker says, and that it has ended. It says nothing more then. */
  heard: (worker: Child, message: FromWorker) => void
  ended: (worker: Child) => void
  log: Record<'info' | 'warn' | 'error', (what: object, sentence: string) => void>
  /** Does it in so many milliseconds, unless it is called off. */
  later: (ms: number, work: () => void) => () => void
  /** Milliseconds, monotonic. */
  now: () => number
  /** How long a worker may take to end in order. */
  leaveMsMax: number
}

export type Ready = Extract<FromWorker, { say: 'ready' }>

export interface Crew {
  /** Resolves when all are forked and the first is ready; with its exit code where it ended before that, for then the others would too. */
  start(): Promise<Ready | { code: number }>
  /** Replaces each by a new one that is ready first. Where one does not get ready those that are left stay. Asked meanwhile, it does so once more. */
  restart(): void
  /** Tells all to end, and resolves when they have. */
  stop(lead: Lead): Promise<void>
  /** They may cut what is still under way. */
  hurry(): void
  /** Those that serve calls, or did until they were told to end. */
  readonly serving: readonly Child[]
  /** Replaced since the start: after a crash, or by a restart. */
  readonly replaced: Readonly<Record<'crash' | 'restart', number>>
}

interface Member {
  child: Child
  state: 'starting' | 'ready' | 'leaving'
  bornAt: number
  /** What it said when it was ready, or how it ended before. */
  start: PromiseWithResolvers<Ready | { code: number }>
  gone: PromiseWithResolvers<void>
  callOff: () => void
}

/** To listen: a first one brings the database up to date before, and what dead processes left is written down. */
const START_MS_MAX = 120_000
/** A stop that whoever told a worker to leave tells everybody (a supervisor tells all processes at once) is heard by then. */
const LEAVING_MS = 200
/** One that ends so soon after its start will again: the next waits before it tries. */
const EARLY_MS = 10_000
const BACK_OFF_MS = { first: 1_000, most: 30_000 }

export function createCrew({ size, fork, heard, ended, log, later, now, leaveMsMax }: CrewOptions): Crew {
  const members = new Set<Member>()
  const replaced = { crash: 0, restart: 0 }
  let backOffMs = 0
  let callOffFill = (): void => {}
  /** One was ready: the settings are right. */
  let isUp = false
  let isStopping = false
  let isRestarting = false
  let isRestartWanted = false

  function add(): Member {
    const one: Member = {
      child: fork(),
      state: 'starting',
      bornAt: now(),
      start: Promise.withResolvers(),
      gone: Promise.withResolvers(),
      callOff: () => {},
    }
    members.add(one)
    one.callOff = later(START_MS_MAX, () => {
      log.error({ worker: one.child.pid }, 'a worker did not become ready in time and is ended')
      one.child.kill()
    })
    one.child.onMessage((message) => {
      if (!members.has(one)) return
      if (message.say === 'ready') ready(one, message)
      else if (message.say === 'leaving') leaving(one)
      heard(one.child, message)
    })
    one.child.onEnd((code) => end(one, code))
    return one
  }

  function ready(one: Member, message: Ready): void {
    if (one.state !== 'starting') return
    one.state = 'ready'
    isUp = true
    one.callOff()
    one.start.resolve(message)
    log.info({ worker: one.child.pid }, 'a worker is ready')
  }

  function end(one: Member, code: number | null): void {
    if (!members.delete(one)) return
    one.callOff()
    one.start.resolve({ code: code || 1 })
    ended(one.child)
    one.gone.resolve()
    if (isStopping || !isUp || one.state === 'leaving') return
    const isEarly = now() - one.bornAt < EARLY_MS
    backOffMs = isEarly ? Math.min(Math.max(2 * backOffMs, BACK_OFF_MS.first), BACK_OFF_MS.most) : 0
    log.warn({ worker: one.child.pid, code, wait_ms: backOffMs }, 'a worker ended by itself and is replaced')
    callOffFill()
    callOffFill = later(backOffMs, () => fill('crash'))
  }

  /** It leaves by itself, and whoever comes instead need not wait until it has. */
  function leaving(one: Member): void {
    if (one.state !== 'ready') return
    log.info({ worker: one.child.pid }, 'a worker was told to end and is replaced')
    awaitEnd(one)
    later(LEAVING_MS, () => fill('restart'))
  }

  /** As many as there should be, whatever became of whom. */
  function fill(why: 'crash' | 'restart'): void {
    while (!isStopping && present().length < size) {
      add()
      replaced[why]++
    }
  }

  const isPresent = (one: Member): boolean => members.has(one) && one.state !== 'leaving'
  const present = (): Member[] => [...members].filter(isPresent)

  function leave(one: Member, lead: Lead): void {
    one.child.tell({ say: 'leave', lead })
    awaitEnd(one)
  }

  function awaitEnd(one: Member): void {
    one.callOff()
    one.state = 'leaving'
    one.callOff = later(leaveMsMax, () => {
      log.error({ worker: one.child.pid }, 'a worker did not end in time and is ended')
      one.child.kill()
    })
  }

  async function replaceAll(): Promise<void> {
    const old = present()
    for (const one of old) {
      if (isStopping) return
      if (!isPresent(one)) continue // it ended meanwhile, and whoever takes its place is new
      const next = add()
      const isReady = 'say' in (await next.start.promise)
      if (!isReady) {
        if (!isStopping) log.error({}, 'a new worker did not become ready: the restart is given up, and the workers that are there go on')
        return
      }
      if (!isStopping && isPresent(one)) leave(one, 'closed')
      replaced.restart++
    }
    fill('crash')
    log.info({}, 'new workers serve; the old ones end what they have begun')
    await Promise.all(old.map(({ gone }) => gone.promise))
  }

  async function restartAsWanted(): Promise<void> {
    isRestarting = true
    while (isRestartWanted && !isStopping) {
      isRestartWanted = false
      log.info({}, 'the workers are replaced by new ones')
      await replaceAll()
    }
    isRestarting = false
  }

  return {
    async start() {
      const first = add()
      const answer = await first.start.promise
      if (isStopping || !('say' in answer)) return answer
      while (members.size < size) add()
      return answer
    },
    restart() {
      isRestartWanted = true
      if (!isRestarting) void restartAsWanted()
    },
    async stop(lead) {
      isStopping = true
      callOffFill()
      for (const one of present()) leave(one, lead)
      await Promise.all([...members].map(({ gone }) => gone.promise))
    },
    hurry() {
      for (const { child } of members) child.tell({ say: 'hurry' })
    },
    get serving() {
      return [...members].filter(({ state }) => state !== 'starting').map(({ child }) => child)
    },
    replaced,
  }
}
