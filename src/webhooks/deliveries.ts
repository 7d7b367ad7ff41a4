/**
 * Brings events to those who asked for them: at least once each, while other processes do the same with the same rows. It looks when somebody says that
 * there may be something, and when something it has seen is due; otherwise it rests.
 */
import type { Database, Tx } from '../db/connect.ts'
import type { DeliveryAttempt } from '../db/schema.ts'
import { isUnavailable, within } from '../db/unavailable.ts'
import { newId } from '../ids.ts'
import { type AttemptOptions, createAttempts, type Outcome } from './attempt.ts'
import { TEST_EVENT } from './delivery-log.ts'
import { type Claim, createDeliveryStore, type Disabling, type EndpointNow, type LateEndpoint, type Result, type WhyDisabled } from './delivery-store.ts'
import type { WebhookRow } from './endpoints.ts'
import { payloadOf } from './payload.ts'
import { createPruning } from './prune.ts'
import { createRounds } from './rounds.ts'
import { pauseAfter, type ScheduleSettings } from './schedule.ts'
import { signedHeaders } from './sign.ts'
import { createTidying } from './tidying.ts'
import { createTurns } from './turns.ts'

/** At least; long attempts make it longer. */
const LEASE_MS = 60_000
/** An attempt begins only if so much of its lease will be left when it is over, for writing down what became of it. */
const LEASE_LEFT_MS = 10_000
/** Attempts, one after the other, that a lease is good for. */
const LEASE_ATTEMPTS = 4
/** Of one statement. */
const RESULTS_MAX = 100
/** Less was to be had than seemed to be due: what comes next there is looked for after this. */
const LOOK_AGAIN_MS = 250
/** An endpoint's row is read again after this, and whenever somebody says that something was changed. */
const KNOWN_MS = 1_000
/** How long attempts may take that are under way when all this ends, and then how long it may take to write down what became of them. */
const CLOSE_MS_MAX = 5_000
const CLOSE_WRITE_MS_MAX = 5_000

export interface DeliveriesOptions extends Omit<AttemptOptions, 'timeoutMs'> {
  database: Pick<Database, 'db'>
  /** In clear, the present one first. */
  secretsOf(row: WebhookRow): Promise<string[]>
  settings: ScheduleSettings & Pick<AttemptOptions, 'timeoutMs'>
  /** Of this program. */
  version: string
  /** In [0, 1). */
  random(): number
  /** Records in the transaction that an endpoint was disabled. */
  record(tx: Tx, what: Disabling): Promise<void>
  /** Called when that is committed. */
  disabled(): Promise<void>
  /** Counts an attempt: `failed` will be tried again. */
  measure?(attempt: { result: 'delivered' | 'failed' | 'dead'; ms: number }): void
  report(error: unknown, context?: object): void
}

interface InHand extends Claim {
  /** By `now`. */
  claimedAt: number
}

interface Attempted extends Result {
  /** What it tells of its endpoint: not to be told anything any more. */
  disables: WhyDisabled | null
}

type ClaimResult = Attempted & { claim: Claim }

export type Deliveries = ReturnType<typeof createDeliveries>

/** Does nothing before `start`, except what `deliver` asks for. */
export function createDeliveries(options: DeliveriesOptions) {
  const { database, secretsOf, settings, version, now, wallNow, random, record, disabled, measure, report } = options
  const { timeoutMs } = settings
  const store = createDeliveryStore(database)
  const attempts = createAttempts({ ...options, timeoutMs })
  const turns = createTurns<InHand>()
  const leaseMs = Math.max(LEASE_MS, LEASE_ATTEMPTS * timeoutMs + LEASE_LEFT_MS)
  // As many as are in hand.
  const known = new Map<string, { row: EndpointNow | undefined; readAt: number }>()
  /** No longer in hand, and to be given back: their endpoint is not active, or their lease is too short by now. */
  const unwanted: InHand[] = []
  const underWay = new Set<{ claim: Claim; done: Promise<void> }>()
  const results: ClaimResult[] = []
  const rounds = createRounds({ round, onTime: nudge, failed: tell, now })
  const pruning = createPruning({ db: database.db, now, report })
  const tidying = createTidying({ db: database.db, wallNow, moreIn: rounds.timeIn, report })
  let state: 'new' | 'started' | 'closing' | 'closed' = 'new'
  /** Something may be due that is not in hand. */
  let shouldLook = false
  /** Since when, by `now`, the oldest waits of what there was no room for. The next that is over makes some. */
  let oldestDueAt: number | null = null

  function nudge(): void {
    shouldLook = true
    known.clear()
    rounds.wake()
  }

  /** That the database is away is said by others, once. */
  function tell(error: unknown): void {
    if (!isUnavailable(error)) report(error)
  }

  /** What fails here leaves in hand what is, and what became of it, until it can be written or its lease is over. */
  async function round(): Promise<void> {
    const problem = await writeResults()
    if (shouldLook) await takeDue()
    await beginNext()
    pruning.begin()
    if (problem !== undefined) throw problem
  }

  /**
   * What disables an endpoint does so before it is forgotten why. Where that fails the results of this endpoint are kept, and those of no other: answers with
   * what the problem was.
   */
  async function writeResults(): Promise<unknown> {
    const kept = new Set<string>()
    let problem: unknown
    for (;;) {
      // More may come meanwhile.
      const batch = results.filter(({ claim }) => !kept.has(claim.webhookId)).slice(0, RESULTS_MAX)
      if (batch.length === 0) return problem
      for (const [webhookId, why] of disablingsOf(batch)) {
        try {
          await disable(webhookId, why)
        } catch (error) {
          kept.add(webhookId)
          problem = error
        }
      }
      await write(batch.filter(({ claim }) => !kept.has(claim.webhookId)))
    }
  }

  async function write(batch: readonly ClaimResult[]): Promise<void> {
    if (batch.length === 0) return
    await store.write(batch)
    for (const one of batch) {
      results.splice(results.indexOf(one), 1)
      turns.released(one.claim)
      if (one.state === 'pending') rounds.timeIn(one.retryMs ?? 0)
    }
    if (oldestDueAt !== null) shouldLook = true
  }

  async function disable(webhookId: string, why: WhyDisabled): Promise<void> {
    if (!(await store.disable(webhookId, why, record))) return
    shouldLook = true
    await disabled().catch(report)
  }

  async function takeDue(): Promise<void> {
    shouldLook = false
    const { due, untold, nextInMs } = await store.look()
    if (nextInMs !== null) rounds.timeIn(nextInMs)
    const left = await take(due)
    oldestDueAt = left[0] ? now() - left[0].lateMs : null
    tidying.begin(untold)
  }

  /** Takes in hand what there is room for. Answers with those of which more may be due. */
  async function take(due: readonly LateEndpoint[]): Promise<readonly LateEndpoint[]> {
    const wanted = turns.wanted(due)
    if (wanted.length === 0) return due
    const claimedAt = now()
    const claims = await store.claim(wanted, newId('lease'), leaseMs)
    turns.add(claims.map((claim) => ({ ...claim, claimedAt })))
    const missing = new Map(wanted.map(({ webhookId, wanted }) => [webhookId, wanted]))
    for (const { webhookId } of claims) missing.set(webhookId, (missing.get(webhookId) ?? 0) - 1)
    const isShort = ({ webhookId }: LateEndpoint): boolean => (missing.get(webhookId) ?? 0) > 0
    if (due.some(isShort)) rounds.timeIn(LOOK_AGAIN_MS)
    return due.filter((one) => !isShort(one))
  }

  /** Begins what may begin, up to the first whose endpoint is not known well enough: that one is handed back. */
  function beginKnown(): InHand | undefined {
    for (let one = turns.next(); one; one = turns.next()) {
      const { row, readAt } = known.get(one.webhookId) ?? { row: undefined, readAt: Number.NEGATIVE_INFINITY }
      if (now() - readAt > KNOWN_MS) {
        turns.putBack(one)
        return one
      }
      if (row?.active && now() - one.claimedAt <= leaseMs - timeoutMs - LEASE_LEFT_MS) begin(one, row)
      else {
        turns.ended(one)
        turns.released(one)
        unwanted.push(one)
      }
    }
    return undefined
  }

  /** Endpoints are read just before, so that one that is elsewhere, paused or deleted by now is known to be. */
  async function beginNext(): Promise<void> {
    while (beginKnown()) {
      const ids = turns.waiting()
      const rows = await store.endpoints(ids)
      known.clear()
      for (const id of ids) known.set(id, { row: rows.get(id), readAt: now() })
      const former = [...rows.values()].filter(({ isFormerOver }) => isFormerOver).map(({ id }) => id)
      if (former.length > 0) await store.forgetFormerSecrets(former).catch(tell)
    }
    if (unwanted.length === 0) return
    const ours = unwanted.splice(0)
    await store.giveBack(ours)
    nudge()
  }

  function begin(claim: InHand, endpoint: EndpointNow): void {
    const one = { claim, done: attempt(claim, endpoint).then(over) }
    underWay.add(one)

    function over(result: Attempted): void {
      if (state === 'closed') return
      underWay.delete(one)
      turns.ended(claim)
      results.push({ ...result, claim })
      if (state === 'started') beginKnown()
      rounds.wake()
    }
  }

  async function attempt(claim: Claim, endpoint: EndpointNow): Promise<Attempted> {
    const { id, lease, event } = claim
    const at = wallNow()
    let outcome: Outcome
    try {
      const secrets = await secretsOf(endpoint)
      const body = Buffer.from(payloadOf(event))
      const headers = {
        ...signedHeaders(secrets, { id: event.id, seconds: Math.floor(at / 1000), body }),
        'x-earthflow-event': event.type,
        'x-earthflow-sequence': event.sequence,
        'content-type': 'application/json',
        'user-agent': `Earthflow/${version}`,
      }
      outcome = await attempts.send({ webhookId: endpoint.id, url: endpoint.url, headers, body, secrets })
    } catch (error) {
      report(error, { webhook: endpoint.id })
      outcome = { status: null, error: 'INTERNAL', ms: 0, response: null, retryAfterMs: null }
    }
    const { status, error, ms, response, retryAfterMs } = outcome
    const isTest = event.type === TEST_EVENT
    const isDelivered = status !== null && status >= 200 && status <= 299
    const isGone = status === 410 && !isTest
    const retryMs = isDelivered || isGone || isTest ? null : pauseAfter(claim.tries + 1, settings, random(), retryAfterMs)
    const result = isDelivered ? 'delivered' : retryMs === null ? 'dead' : 'failed'
    measure?.({ result, ms })
    const made: DeliveryAttempt = { at: new Date(at).toISOString(), status, error, ms, response }
    const reason = isGone ? 'gone' : !isDelivered && !isTest && endpoint.hasFailedLong ? 'failing' : null
    return {
      ...{ id, lease, state: result === 'failed' ? 'pending' : result, retryMs, attempt: made, isTelling: !isTest },
      disables: reason && { reason, url: endpoint.url },
    }
  }

  return {
    /** There may be something to deliver, or an endpoint was changed. Never throws. */
    nudge,
    /** The same where something was seen that nobody has delivered in time. */
    lookIfLate: nudge,
    start(): void {
      if (state !== 'new') return
      state = 'started'
      rounds.start()
      nudge()
    },
    /**
     * One attempt, now, whatever is due when, at an endpoint that need not be active; for a delivery that was made so that nobody else begins it meanwhile.
     * Resolves when what became of it is written; with null where there is no such delivery. Rejects when the database is away.
     */
    async deliver(id: string): Promise<DeliveryAttempt | null> {
      const claim = await store.claimOne(id, newId('lease'), leaseMs)
      const endpoint = claim && (await store.endpoints([claim.webhookId])).get(claim.webhookId)
      if (!claim || !endpoint) return null
      const result = await attempt(claim, endpoint)
      await store.write([result])
      if (result.state === 'pending') nudge()
      return result.attempt
    },
    /** For how long the oldest waits, in milliseconds, of what is due and not in hand; 0: nothing is. */
    oldestDueMs: (): number => (oldestDueAt === null ? 0 : Math.max(0, now() - oldestDueAt)),
    /** Gives back what has not begun, and waits a little for what has. Never rejects. */
    async close(): Promise<void> {
      if (state === 'closing' || state === 'closed') return
      state = 'closing'
      tidying.stop()
      pruning.stop()
      await rounds.stop()
      await store.giveBack([...turns.takeWaiting(), ...unwanted]).catch(report)
      await settled(
        [...underWay.values()].map(({ done }) => done),
        Math.min(timeoutMs, CLOSE_MS_MAX),
      )
      state = 'closed'
      attempts.close()
      const problem = await within(CLOSE_WRITE_MS_MAX, writeResults()).catch((error: unknown) => error)
      if (problem !== undefined) report(problem)
      await store.giveBack([...underWay, ...results].map(({ claim }) => claim)).catch(report)
    },
  }
}

async function settled(works: readonly Promise<unknown>[], ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([Promise.all(works), late])
  clearTimeout(timer)
}

/** One that was delivered to meanwhile is not failing. */
function disablingsOf(batch: readonly ClaimResult[]): Map<string, WhyDisabled> {
  const isWell = new Set(batch.filter(({ state }) => state === 'delivered').map(({ claim }) => claim.webhookId))
  const found = new Map<string, WhyDisabled>()
  for (const { disables, claim } of batch) {
    if (disables?.reason === 'gone' || (disables && !isWell.has(claim.webhookId) && !found.has(claim.webhookId))) found.set(claim.webhookId, disables)
  }
  return found
}
