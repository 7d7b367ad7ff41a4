/** What the database knows of deliveries on their way. Times are the database's, so clocks of processes need not agree. */

import { announce } from '../db/changes.ts'
import type { Database, Tx } from '../db/connect.ts'
import { and, eq, getTableColumns, inArray, sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { type DeliveryAttempt, webhooks } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { withAttempt } from './endpoint-deliveries.ts'
import type { WebhookRow } from './endpoints.ts'
import type { TellableEvent } from './payload.ts'
import type { Untold } from './tidying.ts'

/** Endpoints that one statement looks at. A look takes as many as it needs. */
const PAGE_MAX = 1_000
const TIMEOUT_MS = 2_000
/** An endpoint at which attempts failed for so long, one after the other, is disabled. */
const FAILING_HOURS = 120
/** They follow one another where no more lies between them: a little more than the longest pause of a schedule, and the hour after which one is noted again. */
const RUN_PAUSE_HOURS = 30
const NOTED_AGAIN_HOURS = 1

/** An endpoint for which something is due. */
export interface LateEndpoint {
  webhookId: string
  tenantId: string | null
  /** For how long the first of it has been. */
  lateMs: number
}

export interface Pending {
  /** The one that has waited longest first. */
  due: LateEndpoint[]
  /** Those that are not active and yet have something waiting. */
  untold: Untold[]
  /** Until something is due at another endpoint. */
  nextInMs: number | null
}

/** An endpoint's row, and what the database's clock says of it. */
export interface EndpointNow extends WebhookRow {
  /** Every attempt has failed for FAILING_HOURS; another failure is enough. */
  hasFailedLong: boolean
  /** The time of its former secret is over. */
  isFormerOver: boolean
}

/** A delivery that is ours until the lease ends. */
export interface Claim {
  id: string
  webhookId: string
  tenantId: string | null
  lease: string
  /** Attempts so far. */
  tries: number
  event: TellableEvent
}

export interface WhyDisabled {
  reason: 'gone' | 'failing'
  /** Where the attempt was made. */
  url: string
}

export interface Result {
  id: string
  lease: string
  state: 'pending' | 'delivered' | 'dead'
  /** Of one that stays pending: until the next attempt. */
  retryMs: number | null
  attempt: DeliveryAttempt
  /** Whether it tells how the endpoint is doing; a test does not. */
  isTelling: boolean
}

/** What is recorded of an endpoint that the program itself disables. */
export interface Disabling {
  action: 'webhook.disable'
  tenantId: string | null
  subject: string
  details: { reason: 'gone' | 'failing' }
}

export type DeliveryStore = ReturnType<typeof createDeliveryStore>

/** Everything rejects with DatabaseUnavailable where the database takes too long. */
export function createDeliveryStore({ db }: Pick<Database, 'db'>) {
  const bounded = <Row extends Record<string, unknown>>(statement: ReturnType<typeof sql>) =>
    retryConflicts(() => within(TIMEOUT_MS, db.execute<Row>(statement)))

  return {
    /** Whatever is due, wherever. An endpoint costs a step in an index, however much waits for it, and is answered only where there is something to do. */
    async look(): Promise<Pending> {
      const pages: Page[] = []
      for (let after: string | null = ''; after !== null; ) {
        const page: Page | undefined = (await bounded<Page>(pageAfter(after)))[0]
        if (!page) break
        pages.push(page)
        after = page.looked < PAGE_MAX ? null : page.last
      }
      const found = pages.flatMap((page) => page.found)
      const due = found.filter(({ active }) => active === true).map(({ id, tenant, late }) => ({ webhookId: id, tenantId: tenant, lateMs: late }))
      const untold = found
        .filter(({ active }) => active !== true)
        .map(({ id, active }) => ({ webhookId: id, state: active === null ? 'gone' : 'inactive' }) as const)
      const next = Math.min(...pages.map(({ next_in_ms }) => next_in_ms ?? Number.POSITIVE_INFINITY))
      return { due: due.sort((a, b) => b.lateMs - a.lateMs), untold, nextInMs: Number.isFinite(next) ? next : null }
    },

    /**
     * Takes what is due: nobody else begins it before the lease ends. An event that was counted is counted no further. Pairs are compared, because only the
     * index of pairs serves that: another one would step over all that is due elsewhere.
     */
    claim: (wanted: readonly { webhookId: string; wanted: number }[], lease: string, leaseMs: number): Promise<Claim[]> =>
      claimed(
        sql`
          select d.id from jsonb_to_recordset(${JSON.stringify(wanted)}::text::jsonb) as w("webhookId" text, wanted int) cross join lateral (
            select id from webhook_deliveries where state = 'pending'
              and (webhook_id, due_at) between (w."webhookId", '-infinity'::timestamptz) and (w."webhookId", now())
            order by webhook_id, due_at limit w.wanted for update skip locked
          ) d`,
        lease,
        leaseMs,
      ),

    /** Takes one that is pending, whenever it is due. */
    async claimOne(id: string, lease: string, leaseMs: number): Promise<Claim | undefined> {
      return (await claimed(sql`select id from webhook_deliveries where state = 'pending' and id = ${id} for update`, lease, leaseMs))[0]
    },

    /** The rows of endpoints as they are now. */
    async endpoints(ids: readonly string[]): Promise<Map<string, EndpointNow>> {
      const rows = await within(
        TIMEOUT_MS,
        db
          .select({
            ...getTableColumns(webhooks),
            hasFailedLong: sql<boolean>`coalesce(${hasFailedLong}, false)`,
            isFormerOver: sql<boolean>`coalesce(previous_until < now(), false)`,
          })
          .from(webhooks)
          .where(inArray(webhooks.id, [...ids])),
      )
      return new Map(rows.map((row) => [row.id, row]))
    },

    /** Former secrets whose time is over are kept no longer. */
    async forgetFormerSecrets(ids: readonly string[]): Promise<void> {
      const isOver = sql`${webhooks.previousUntil} < now()`
      await within(
        TIMEOUT_MS,
        db
          .update(webhooks)
          .set({ previousSecret: null, previousUntil: null })
          .where(and(inArray(webhooks.id, [...ids]), isOver)),
      )
    },

    /** Writes down what became of attempts, and answers with the ids of these deliveries. Where a lease is not ours any more, nothing is changed; only what is pending has one. */
    async write(results: readonly Result[]): Promise<string[]> {
      const written = results.map(({ id, lease, state, retryMs, attempt, isTelling }) => ({ id, lease, state, retryMs, attempt, isTelling }))
      const rows = await bounded<{ id: string }>(sql`
        with results as (
          select * from jsonb_to_recordset(${JSON.stringify(written)}::text::jsonb)
            as r(id text, lease text, state text, "retryMs" float8, attempt jsonb, "isTelling" boolean)
        ), written as (
          update webhook_deliveries d set state = r.state, lease = null, tries = d.tries + 1,
            due_at = case when r.state = 'pending' then now() + r."retryMs" * interval '1 millisecond' else d.due_at end,
            finished_at = case when r.state <> 'pending' then now() end,
            attempts = ${withAttempt(sql`d.attempts`, sql`r.attempt`)}
          from results r where d.id = r.id and d.lease = r.lease
          returning d.id, d.webhook_id, r.state, r."isTelling" as is_telling
        ), health as (
          select webhook_id, bool_or(state = 'delivered') as is_well from written where is_telling group by webhook_id
        ), endpoints as (
          update webhooks w set failed_at = case when not h.is_well then now() end,
            failing_since = case when not h.is_well then case when w.failed_at > now() - make_interval(hours => ${RUN_PAUSE_HOURS}::int) then coalesce(w.failing_since, now()) else now() end end
          from health h where w.id = h.webhook_id and (
            (w.failing_since is null) <> h.is_well or not h.is_well and (w.failed_at > now() - make_interval(hours => ${NOTED_AGAIN_HOURS}::int)) is not true
          )
        )
        select id from written`)
      return rows.map(({ id }) => id)
    },

    /** Gives back what is still ours: it is due at once, for anybody. */
    async giveBack(claims: readonly Pick<Claim, 'id' | 'lease'>[]): Promise<void> {
      const ours = JSON.stringify(claims.map(({ id, lease }) => ({ id, lease })))
      await bounded(sql`
        update webhook_deliveries d set lease = null, due_at = now() from jsonb_to_recordset(${ours}::text::jsonb) as r(id text, lease text)
        where d.id = r.id and d.lease = r.lease`)
    },

    /**
     * Disables an endpoint, in one transaction with the record of it; where it is gone, only if it still is where `url` says, and where it is failing, only if
     * it still is. False: it was not disabled.
     */
    disable: (webhookId: string, { reason, url }: WhyDisabled, record: (tx: Tx, what: Disabling) => Promise<void>): Promise<boolean> =>
      within(
        TIMEOUT_MS,
        retryConflicts(() =>
          db.transaction(async (tx) => {
            const [row] = await tx
              .update(webhooks)
              .set({ active: false, disabledReason: reason })
              .where(and(eq(webhooks.id, webhookId), eq(webhooks.active, true), reason === 'gone' ? eq(webhooks.url, url) : hasFailedLong))
              .returning({ tenantId: webhooks.tenantId })
            if (!row) return false
            await record(tx, { action: 'webhook.disable', tenantId: row.tenantId, subject: webhookId, details: { reason } })
            await announce(tx, 'webhooks', row.tenantId)
            return true
          }),
        ),
      ),
  }

  /** Deliveries whose event is gone are nobody's. Events are locked in the order in which those who count them do. */
  async function claimed(which: ReturnType<typeof sql>, lease: string, leaseMs: number): Promise<Claim[]> {
    const rows = await bounded<ClaimRow>(sql`
      with picked as materialized (${which}),
      claimed as (
        update webhook_deliveries d set lease = ${lease}, due_at = now() + ${leaseMs}::float8 * interval '1 millisecond'
        from picked where d.id = picked.id returning d.id, d.event_id, d.webhook_id, d.tenant_id, d.tries
      ), counted as materialized (
        select id from webhook_events where is_open and id in (select event_id from claimed) order by type, tenant_id, subject, id for update
      ), closed as (
        update webhook_events e set is_open = false from counted where e.id = counted.id returning e.id, e.count
      )
      select c.id, c.webhook_id, c.tenant_id, c.tries, e.id as event_id, e.sequence::text, e.type, e.tenant_id as event_tenant_id, e.request_id, e.at, e.data,
        e.subject, coalesce(closed.count, e.count) as count
      from claimed c left join webhook_events e on e.id = c.event_id left join closed on closed.id = c.event_id`)
    const lost = rows.filter(({ event_id }) => event_id === null).map(({ id }) => id)
    if (lost.length > 0)
      await bounded(
        sql`delete from webhook_deliveries where id in (${sql.join(
          lost.map((id) => sql`${id}`),
          sql`, `,
        )})`,
      )
    return rows.flatMap((row) => (row.event_id === null ? [] : [claimOf(row, row.event_id, lease)]))
  }
}

const hasFailedLong = sql`failing_since < now() - make_interval(hours => ${FAILING_HOURS}::int) and failed_at > now() - make_interval(hours => ${RUN_PAUSE_HOURS}::int)`

/** One row: it must not be left out where nothing was found, for there may be more. */
type Page = {
  looked: number
  last: string
  next_in_ms: number | null
  /** `active` null: there is no such endpoint any more. */
  found: { id: string; tenant: string | null; late: number; active: boolean | null }[]
}

/** Endpoints with something pending that come after one, whose id it is. */
const pageAfter = (after: string) => sql`
  with recursive pending as (
    (select webhook_id, tenant_id, due_at, 1 as step from webhook_deliveries where state = 'pending' and webhook_id > ${after}
      order by webhook_id, due_at limit 1)
    union all
    select n.webhook_id, n.tenant_id, n.due_at, p.step + 1 from pending p cross join lateral (
      select webhook_id, tenant_id, due_at from webhook_deliveries where state = 'pending' and webhook_id > p.webhook_id
      order by webhook_id, due_at limit 1
    ) n where p.step < ${PAGE_MAX}::int
  ), seen as (
    select p.*, w.active, (extract(epoch from now() - p.due_at) * 1000)::float8 as late_ms from pending p left join webhooks w on w.id = p.webhook_id
  )
  select count(*)::int as looked, max(webhook_id) as last, -max(late_ms) filter (where late_ms < 0 and active) as next_in_ms,
    coalesce(jsonb_agg(jsonb_build_object('id', webhook_id, 'tenant', tenant_id, 'late', late_ms, 'active', active))
      filter (where late_ms >= 0 or active is not true), '[]') as found
  from seen`

type ClaimRow = {
  id: string
  webhook_id: string
  tenant_id: string | null
  tries: number
  /** Null: there is no such event any more, and the rest of it is null too. */
  event_id: string | null
  sequence: string
  type: string
  event_tenant_id: string | null
  request_id: string
  at: string
  data: Record<string, unknown>
  subject: string | null
  count: number
}

const claimOf = (row: ClaimRow, eventId: string, lease: string): Claim => ({
  id: row.id,
  webhookId: row.webhook_id,
  tenantId: row.tenant_id,
  lease,
  tries: row.tries,
  event: {
    id: eventId,
    sequence: row.sequence,
    type: row.type,
    tenantId: row.event_tenant_id,
    requestId: row.request_id,
    at: new Date(row.at),
    data: row.data,
    subject: row.subject,
    count: row.count,
  },
})
