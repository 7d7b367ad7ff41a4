/**
 * What becomes of an endpoint's deliveries when it is paused, disabled or deleted: after that is committed, some at a time, however many there are.
 *
 * Rows are named by arrays and not by joins: where PostgreSQL has counted a table while it was empty, it takes every join for one of a row with a row, and
 * goes through the whole table for each of them.
 */
import type { SQL } from 'drizzle-orm'
import type { Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import type { DeliveryAttempt } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'

/** Of one time, which is one statement. Where it was so many there may be more. */
export const TIDIED_MAX = 500
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
      where id = any(array(
        select id from webhook_deliveries d where d.webhook_id = ${webhookId} and d.state = 'pending' and (d.lease is null or d.due_at < now())
          and exists (select from webhooks w where w.id = d.webhook_id and not w.active)
        limit ${TIDIED_MAX}::int for update skip locked
      )) returning id
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
      select id, event_id, row_number() over (order by state, created_at) <= ${TIDIED_MAX}::int as fits from (
        select id, event_id, state, created_at from webhook_deliveries d
        where d.webhook_id = ${webhookId} and not exists (select from webhooks w where w.id = d.webhook_id)
        order by state, created_at limit ${TIDIED_MAX}::int + 1 for update skip locked
      ) oldest
    ), left_over as (
      update webhook_deliveries set state = 'pending', due_at = now(), lease = null, finished_at = null
      where id = any(array(select id from picked where not fits)) and state <> 'pending'
    ), forgotten as (
      delete from webhook_deliveries where id = any(array(select id from picked where fits)) returning event_id
    ), told_elsewhere as (
      select event_id from webhook_deliveries where event_id = any(array(select event_id from picked)) and webhook_id <> ${webhookId}
    ), nobodys as (
      delete from webhook_events where id = any(array(select event_id from forgotten except select event_id from told_elsewhere))
    ) select count(*)::int as done from forgotten`,
  )

async function tidied(db: Db, statement: SQL): Promise<number> {
  const [row] = await retryConflicts(() => within(TIMEOUT_MS, db.execute<{ done: number }>(statement)))
  return row?.done ?? 0
}
