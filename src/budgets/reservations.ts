/** Reserves hard budgets for calls that are about to leave: what waits is decided together, in one transaction, one call after the other. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../db/connect.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { runPrepared } from '../db/run-prepared.ts'
import { isUnavailable } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import type { Budget } from './budget.ts'
import { amountIn } from './charges.ts'
import { createGiveBack } from './give-back.ts'
import { keepParts, lockWindows, type Part } from './reserve-statements.ts'
import { windowAt } from './window.ts'

/** Calls decided in one transaction: windows are locked for as long as it takes. */
const BATCH_MAX = 100
/** Calls that wait. At the bound nothing new is let in. */
const QUEUE_MAX = 10_000
/** How long a call waits for its reservation before it is refused. */
const RESERVE_MS_MAX = 2_000

export interface Reservation {
  readonly auditId: string
  /**
   * More of the same call: its stream needs more than was expected. `gone`: the call's row is written already. Rejects with Failure('unavailable') as
   * `reserve` does.
   */
  extend(nano: number | null, tokens: number): Promise<Answer>
  /** The call did not leave. Never rejects. */
  release(): Promise<void>
}

/** A budget that does not hold what was asked for, as it stands; of several the one that begins anew last. Amounts are nano-dollars or tokens. */
export interface Exhausted {
  budget: Budget
  spent: number
  reserved: number
  resetsAt: Date
}

export interface Need {
  auditId: string
  /** Hard ones. */
  budgets: readonly Budget[]
  nano: number | null
  tokens: number
  /** Milliseconds since 1970. */
  arrivedAt: number
}

interface Take {
  budget: Budget
  resetsAt: Date
  part: Part
}

interface Waiting {
  auditId: string
  takes: Take[]
  /** It adds to a reservation that was made before. */
  more: boolean
  resolve(answer: Answer): void
  reject(error: unknown): void
  /** It was told, whatever is decided. */
  over: boolean
  timer: NodeJS.Timeout
}

/** `gone`: the reservation that was to grow is not there any more. */
export type Answer = 'granted' | 'gone' | Exhausted
interface Standing {
  spent: number
  reserved: number
  amount: number
}

export interface ReservationOptions {
  sql: Database['sql']
  processId: string
  report: (error: unknown) => void
  reserveMsMax?: number | undefined
}

export function createReservations({ sql, processId, report, reserveMsMax = RESERVE_MS_MAX }: ReservationOptions) {
  const giveBack = createGiveBack({ run: (statement) => runPrepared({ sql }, statement), report })
  let queue: Waiting[] = []
  let draining = false

  function ask(need: Need, more: boolean): Promise<Answer> {
    const takes = takesOf(need, more)
    if (takes.length === 0) return Promise.resolve('granted')
    if (queue.length >= QUEUE_MAX) return Promise.reject(new Failure('unavailable', new Error('Too many calls wait for their budgets.')))
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        auditId: need.auditId,
        takes,
        more,
        resolve,
        reject,
        over: false,
        timer: setTimeout(() => late(waiting), reserveMsMax).unref(),
      }
      queue.push(waiting)
      if (!draining) void drain()
    })
  }

  // What is being decided may still be granted; `settle` gives it back then.
  function late(waiting: Waiting): void {
    queue = queue.filter((other) => other !== waiting)
    waiting.over = true
    waiting.reject(new Failure('unavailable', new Error(`No budget was reserved within ${reserveMsMax} ms.`)))
  }

  async function drain(): Promise<void> {
    draining = true
    // One turn of the event loop later, whoever arrived with us is in the batch as well.
    await nextTurn()
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH_MAX)
      const sent = new Set<Waiting>()
      try {
        const answers = await retryConflicts(() => decide(batch, sent))
        for (const [i, waiting] of batch.entries()) settle(waiting, answers[i])
      } catch (error) {
        for (const waiting of batch) fail(waiting, error, sent.has(waiting))
      }
    }
    draining = false
  }

  function settle(waiting: Waiting, answer: Answer): void {
    clearTimeout(waiting.timer)
    if (!waiting.over) waiting.resolve(answer)
    else if (answer === 'granted' && !waiting.more) void giveBack.now(waiting.auditId)
  }

  /** `sent`: what was granted may be in the database, although nobody could say so. */
  function fail(waiting: Waiting, error: unknown, sent: boolean): void {
    clearTimeout(waiting.timer)
    if (sent && !waiting.more) giveBack.later(waiting.auditId)
    if (!waiting.over) waiting.reject(isUnavailable(error) ? new Failure('unavailable', error) : error)
  }

  function decide(batch: readonly Waiting[], sent: Set<Waiting>): Promise<Answer[]> {
    return sql.begin(async (tx) => {
      const standings = standingsOf(await runPrepared({ sql: tx }, lockWindows(windowsOf(batch))))
      const answers = batch.map((waiting) => answerTo(waiting, standings))
      const granted = batch.filter((_, i) => answers[i] === 'granted')
      const parts = granted.flatMap(({ takes }) => takes.map(({ part }) => part).filter((part) => standings.has(keyOf(part))))
      if (parts.length === 0) return answers
      for (const waiting of granted) sent.add(waiting)
      const kept = new Set((await runPrepared({ sql: tx }, keepParts(parts, processId))).map(({ audit_id }) => audit_id))
      return answers.map((answer, i) => (answer === 'granted' && batch[i].more && !kept.has(batch[i].auditId) ? 'gone' : answer))
    }) as Promise<Answer[]>
  }

  return {
    /** Reserves on all budgets, or on none. Rejects with Failure('unavailable') when the database is away or takes longer than RESERVE_MS_MAX. */
    async reserve(need: Need): Promise<Reservation | Exhausted> {
      const answer = await ask(need, false)
      if (typeof answer === 'object') return answer
      return {
        auditId: need.auditId,
        extend: (nano, tokens) => ask({ ...need, nano, tokens }, true),
        release: () => giveBack.now(need.auditId),
      }
    },
    /** Gives back what is still owed. */
    close: () => giveBack.close(),
  }
}

/** Throws for a budget in money where no price is known: such a call must not come this far. */
const takesOf = ({ auditId, budgets, nano, tokens, arrivedAt }: Need, more: boolean): Take[] =>
  budgets.map((budget) => {
    const amount = amountIn(budget, { nano, tokens })
    if (amount === null) throw new Error('A call without a known price cannot reserve a budget in USD.')
    const { startsAt, resetsAt } = windowAt(budget.window, arrivedAt)
    return { budget, resetsAt, part: { audit_id: auditId, budget_id: budget.id, starts_at: startsAt.toISOString(), amount, more } }
  })

const keyOf = ({ budget_id, starts_at }: Pick<Part, 'budget_id' | 'starts_at'>): string => `${budget_id} ${starts_at}`

const windowsOf = (batch: readonly Waiting[]): Parameters<typeof lockWindows>[0] => {
  const takes = batch.flatMap((waiting) => waiting.takes)
  const windows = takes.map(({ budget, part }) => [keyOf(part), { tenant_id: budget.tenantId, budget_id: budget.id, starts_at: part.starts_at }] as const)
  return [...new Map(windows).values()]
}

const standingsOf = (rows: readonly Record<string, unknown>[]): Map<string, Standing> =>
  new Map(
    rows.map(({ budget_id, starts_at, spent, reserved, amount }) => [
      keyOf({ budget_id: String(budget_id), starts_at: (starts_at as Date).toISOString() }),
      { spent: Number(spent), reserved: Number(reserved), amount: Number(amount) },
    ]),
  )

/** Decides one call, and counts what it is granted for those after it. */
function answerTo({ takes }: Waiting, standings: ReadonlyMap<string, Standing>): Answer {
  let exhausted: Exhausted | null = null
  for (const { budget, resetsAt, part } of takes) {
    const standing = standings.get(keyOf(part))
    if (!standing || standing.spent + standing.reserved + part.amount <= standing.amount) continue
    const { spent, reserved, amount } = standing
    if (!exhausted || exhausted.resetsAt < resetsAt) exhausted = { budget: { ...budget, amount }, spent, reserved, resetsAt }
  }
  if (exhausted) return exhausted
  for (const { part } of takes) {
    const standing = standings.get(keyOf(part))
    if (standing) standing.reserved += part.amount
  }
  return 'granted'
}
