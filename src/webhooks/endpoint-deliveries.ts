/** What becomes of an endpoint's deliveries when it is paused, disabled or deleted: after that is committed, some at a time, however many there are. */
import type { SQL } from 'drizzle-orm'
import type { Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import type { DeliveryAttempt } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'

/** Of one time, which is one statement. Where it was so many there may be more. */
export const TIDIED_MAX = 2_000
/** Attempts that a delivery's row keeps: the newest. */
const ATTEMPTS_KEPT_MAX = 20
const TIMEOUT_MS = 2_000

/** The attempts of a row, with another, which is JSON. */
export const withAttempt = (attempts: SQL, made: SQL): SQL =>
  sql`(case when jsonb_array_length(${attempts}) < ${ATTEMPTS_KEPT_MAX}::int then ${attempts} else ${attempts} - 0 end) || jsonb_build_array(${made})`

/**
 * Gives up some of what waits for an endpoint that is not active: it is dead, and can be replayed. What somebody is at is left to them. An endpoint that is
 * made active meanwhile keeps the rest. Returns how many.
 */
export const giveUpPending = (db: Db, webhookId: string, at: Date): Promise<number> => {
  const attempt: DeliveryAttempt = { at: at.toISOString(), status: null, error: 'endpoint_inactive', ms: 0, response: null }
  return tidied(
    db,
    sql`
    with given_up as (
      update webhook_deliveries set state = 'dead', lease = null, finished_at = now(),
        attempts = ${withAttempt(sql`attempts`, sql`${JSON.stringify(attempt)}::text::jsonb`)}
      where id in (
        select id from webhook_deliveries d where d.webhook_id = ${webhookId} and d.state = 'pending' and (d.lease is null or d.due_at < now())
          and exists (select from webhooks w where w.id = d.webhook_id and not w.active)
        limit ${TIDIED_MAX}::int for update skip locked
      ) returning id
    ) select count(*)::int as done from given_up`,
  )
}

/**
 * Deletes some of what there is of an endpoint that is no more, and events that nobody else is told of. Workers find endpoints by what is pending, so that
 * goes last, and while anything is left something is. Returns how many deliveries.
 */
export const forgetDeliveries = (db: Db, webhookId: string): Promise<number> =>
  tidied(
    db,
    sql`
    with picked as materialized (
      select id, row_number() over (order by state, created_at) as place from (
        select id, state, created_at from webhook_deliveries d
        where d.webhook_id = ${webhookId} and not exists (select from webhooks w where w.id = d.webhook_id)
        order by state, created_at limit ${TIDIED_MAX}::int + 1 for update skip locked
      ) oldest
    ), left_over as (
      update webhook_deliveries d set state = 'pending', due_at = now(), lease = null, finished_at = null from picked p
      where d.id = p.id and p.place > ${TIDIED_MAX}::int and d.state <> 'pending'
    ), forgotten as (
      delete from webhook_deliveries d using picked p where d.id = p.id and p.place <= ${TIDIED_MAX}::int returning d.event_id
    ), nobodys as (
      delete from webhook_events e using forgotten f where e.id = f.event_id
        and not exists (select from webhook_deliveries d where d.event_id = e.id and d.webhook_id <> ${webhookId})
    ) select count(*)::int as done from forgotten`,
  )

async function tidied(db: Db, statement: SQL): Promise<number> {
  const [row] = await retryConflicts(() => within(TIMEOUT_MS, db.execute<{ done: number }>(statement)))
  return row?.done ?? 0
}
