/** Deletes what was finished long ago, beside the deliveries: they wait for none of it, and it for none of them. */
import type { Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { isUnavailable, within } from '../db/unavailable.ts'

/** It begins so often at most, also after it has failed. */
const EVERY_MS = 3_600_000
const KEPT_DAYS = 7
/** Rows that one statement looks at. */
const STEP_MAX = 1_000
/** Statements of one kind; what is left then is for the next time. */
const STEPS_MAX = 1_000
const TIMEOUT_MS = 2_000

const longAgo = sql`now() - make_interval(days => ${KEPT_DAYS}::int)`

export interface PruningOptions {
  db: Db
  /** Milliseconds of a clock that only goes forward. */
  now(): number
  report(error: unknown): void
  stepMax?: number
}

export function createPruning({ db, now, report, stepMax = STEP_MAX }: PruningOptions) {
  let begunAt = Number.NEGATIVE_INFINITY
  let isStopped = false

  const bounded = <Row extends Record<string, unknown>>(statement: ReturnType<typeof sql>) =>
    retryConflicts(() => within(TIMEOUT_MS, db.execute<Row>(statement)))

  async function prune(): Promise<void> {
    for (let step = 0; step < STEPS_MAX && !isStopped; step++) if ((await deleteFinished()) < stepMax) break
    for (let step = 0, after: Place | null = FIRST; step < STEPS_MAX && after && !isStopped; step++) after = await deleteNobodys(after)
  }

  /** Some deliveries, with the events that nobody else is told of. Returns how many. */
  async function deleteFinished(): Promise<number> {
    const [row] = await bounded<{ deleted: number }>(sql`
      with picked as materialized (
        select id, event_id from webhook_deliveries where finished_at < ${longAgo} order by finished_at limit ${stepMax}::int for update skip locked
      ), deleted as (
        delete from webhook_deliveries where id = any(array(select id from picked)) returning event_id
      ), told_elsewhere as (
        select event_id from webhook_deliveries
        where event_id = any(array(select event_id from picked)) and not id = any(array(select id from picked))
      ), events as (
        delete from webhook_events where id = any(array(select event_id from deleted except select event_id from told_elsewhere))
      ) select count(*)::int as deleted from deleted`)
    return row?.deleted ?? 0
  }

  /** Looks at some events of long ago, and deletes those without a delivery, which two who deleted at once left. Returns where the next ones begin. */
  async function deleteNobodys({ at, id }: Place): Promise<Place | null> {
    const [row] = await bounded<{ looked: number; at: string; id: string }>(sql`
      with looked as materialized (
        select id, created_at from webhook_events where created_at < ${longAgo} and (created_at, id) > (${at}::timestamptz, ${id})
        order by created_at, id limit ${stepMax}::int
      ), deleted as (
        delete from webhook_events where id = any(array(
          select id from looked except select event_id from webhook_deliveries where event_id = any(array(select id from looked))
        ))
      ) select (select count(*)::int from looked) as looked, created_at::text as at, id from looked order by created_at desc, id desc limit 1`)
    return row && row.looked >= stepMax ? row : null
  }

  return {
    /** Begins, unless it did within the last hour. Never throws; whether it succeeds is nobody's business but that of `report`. */
    begin(): void {
      if (isStopped || now() - begunAt < EVERY_MS) return
      begunAt = now()
      prune().catch((error: unknown) => {
        if (!isStopped && !isUnavailable(error)) report(error)
      })
    },
    /** What is being asked ends by itself, soon. */
    stop(): void {
      isStopped = true
    },
  }
}

interface Place {
  at: string
  id: string
}
const FIRST: Place = { at: '-infinity', id: '' }
