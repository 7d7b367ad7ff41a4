/** What became of deliveries, for whoever looks, and deliveries that somebody asks for: tests and replays. */
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, getTableColumns, inArray, isNull, sql } from '../db/drizzle.ts'
import { webhookDeliveries as deliveries, webhookEvents as events } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { WebhookRow } from './endpoints.ts'

export type DeliveryState = (typeof deliveries.$inferSelect)['state']
export const deliveryStates = ['pending', 'delivered', 'dead'] as const satisfies readonly DeliveryState[]

export type DeliveryRow = typeof deliveries.$inferSelect & { event: string }

/** Its type: nothing happened. */
export const TEST_EVENT = 'TEST'

/** Deliveries that one request looks at to replay them. */
export const REPLAYED_AT_ONCE_MAX = 10_000
/** What is counted beyond a page is counted so far. An event is looked for among so many of the newest. */
export const COUNTED_MAX = 10_000
/** Who is at a test, and for how long at most: a worker that finds it later finds what a process left that died. */
const TEST_LEASE = 'test'
const TEST_SECONDS = 60
/** What a statement may take that reads or writes so many rows. */
const STATEMENT_MS = 8_000

/** A part of a `union all` for each state, since the index has each apart: so that each is read no further than is asked. */
const ofEach = (state: DeliveryState | undefined, part: (state: DeliveryState) => SQL): SQL =>
  sql.join(
    (state === undefined ? deliveryStates : [state]).map((one) => sql`(${part(one)})`),
    sql` union all `,
  )

/** Of one endpoint, newest first. `total` is COUNTED_MAX where there are so many or more; those of an event are looked for among the newest COUNTED_MAX. */
export async function listDeliveries(
  db: Db,
  webhookId: string,
  { state, event, limit, offset }: { state?: DeliveryState | undefined; event?: string | undefined; limit: number; offset: number },
): Promise<{ rows: DeliveryRow[]; total: number }> {
  const newest = (most: number) => sql`
    select * from (${ofEach(
      state,
      (one) => sql`
        select id, event_id, created_at from webhook_deliveries where webhook_id = ${webhookId} and state = ${one}
        order by created_at desc, id desc limit ${most}::int`,
    )}) d order by created_at desc, id desc limit ${most}::int`
  const fitting = (most: number) =>
    event === undefined ? newest(most) : sql`select d.* from (${newest(COUNTED_MAX)}) d join webhook_events e on e.id = d.event_id and e.type = ${event}`
  const page = sql`select id, created_at from (${fitting(offset + limit)}) f order by created_at desc, id desc limit ${limit}::int offset ${offset}::int`
  const [found] = await db.execute<{ total: number; ids: string[] }>(sql`
    select (select count(*)::int from (${fitting(COUNTED_MAX)}) f) as total,
      (select coalesce(jsonb_agg(id), '[]') from (${page}) p) as ids`)
  if (!found || found.ids.length === 0) return { rows: [], total: found?.total ?? 0 }
  const rows = await db
    .select({ ...getTableColumns(deliveries), event: events.type })
    .from(deliveries)
    .innerJoin(events, eq(events.id, deliveries.eventId))
    .where(and(eq(deliveries.webhookId, webhookId), inArray(deliveries.id, found.ids)))
    .orderBy(desc(deliveries.createdAt), desc(deliveries.id))
  return { rows, total: found.total }
}

/** `tenantId` null is the installation itself. */
export async function findDelivery(db: Db | Tx, tenantId: string | null, id: string): Promise<DeliveryRow | undefined> {
  const [row] = await db
    .select({ ...getTableColumns(deliveries), event: events.type })
    .from(deliveries)
    .innerJoin(events, eq(events.id, deliveries.eventId))
    .where(and(tenantId === null ? isNull(deliveries.tenantId) : eq(deliveries.tenantId, tenantId), eq(deliveries.id, id)))
    .limit(1)
  return row
}

/** An event for one endpoint alone, which nothing but a test caused. Returns the id of its delivery, which somebody must attempt. */
export async function addTest(tx: Tx, { id: webhookId, tenantId }: WebhookRow, { requestId, at }: { requestId: string; at: Date }): Promise<string> {
  const [eventId, id] = [newId('evt'), newId('dlv')]
  await tx.insert(events).values({ id: eventId, tenantId, type: TEST_EVENT, requestId, at, data: { webhook_id: webhookId } })
  await tx.insert(deliveries).values({ id, eventId, webhookId, tenantId, lease: TEST_LEASE, dueAt: sql`now() + make_interval(secs => ${TEST_SECONDS}::int)` })
  return id
}

/** What can be replayed: not what somebody is at right now, nor what is still to be attempted for the first time. */
const isAtRest = sql`(d.state <> 'pending' or (d.tries > 0 and (d.lease is null or d.due_at < now())))`
const ANEW = sql.raw(`state = 'pending', due_at = now(), lease = null, tries = 0, finished_at = null`)

/** Starts its schedule anew, under the same event. False: it is being delivered, or will be at once, anyway. */
export async function replayDelivery(tx: Tx, id: string): Promise<boolean> {
  const rows = await tx.execute(sql`update webhook_deliveries d set ${ANEW} where d.id = ${id} and ${isAtRest} returning d.id`)
  return rows.length > 0
}

export interface Replay {
  /** From when on, and until before when, it was to be told. */
  from: Date
  to: Date
  /** Of those of the very moment `from`: from this one on. */
  fromId?: string | undefined
  state?: DeliveryState | undefined
}

export interface Replayed {
  replayed: number
  /** Others that fit, among the next COUNTED_MAX. */
  remaining: number
  /** The first that was not looked at: when it was to be told, and which it is. Null: there is none. */
  nextFrom: Date | null
  nextFromId: string | null
}

/**
 * Does the same for an endpoint's deliveries of a time, in the order in which they were to be told. It looks at so many at once, whether or not they can be
 * replayed, and at each of them once. Tests are no events that happened.
 */
export async function replayRange(tx: Tx, webhookId: string, { from, to, fromId = '', state }: Replay, max = REPLAYED_AT_ONCE_MAX): Promise<Replayed> {
  await tx.execute(sql`select set_config('statement_timeout', ${String(STATEMENT_MS)}, true)`)
  const most = max + COUNTED_MAX
  const begin = from.toISOString()
  const [row] = await tx.execute<{ replayed: number; remaining: number; next_from: Date | string | null; next_from_id: string | null }>(sql`
    with looked as materialized (
      select id, event_id, created_at, row_number() over (order by created_at, id) as place from (${ofEach(
        state,
        (one) => sql`
          select id, event_id, created_at from webhook_deliveries
          where webhook_id = ${webhookId} and state = ${one} and created_at >= ${begin}::timestamptz and created_at < ${to.toISOString()}::timestamptz
            and (created_at > ${begin}::timestamptz or id >= ${fromId})
          order by created_at, id limit ${most}::int`,
      )}) d order by created_at, id limit ${most}::int
    ), fitting as materialized (
      select d.id, l.place from looked l join webhook_deliveries d on d.id = l.id join webhook_events e on e.id = l.event_id
      where e.type <> ${TEST_EVENT} and ${isAtRest}
    ), picked as (
      -- What is being taken at this moment is under way, and not waited for.
      select d.id from webhook_deliveries d where d.id in (select id from fitting where place <= ${max}::int) and ${isAtRest} for update skip locked
    ), replayed as (
      update webhook_deliveries d set ${ANEW} from picked where d.id = picked.id returning d.id
    ) select (select count(*)::int from replayed) as replayed, (select count(*)::int from fitting where place > ${max}::int) as remaining,
      (select created_at from looked where place = ${max}::int + 1) as next_from, (select id from looked where place = ${max}::int + 1) as next_from_id`)
  const { replayed, remaining, next_from, next_from_id } = row
  return { replayed, remaining, nextFrom: next_from === null ? null : new Date(next_from), nextFromId: next_from_id }
}
