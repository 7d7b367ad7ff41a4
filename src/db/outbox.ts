/** The one way in which an event comes to those who asked for it: in the transaction of what it tells of, as a row of its own and a delivery for each of them. */
import type { SQL } from 'drizzle-orm'
import type { Tx } from './connect.ts'
import { sql } from './drizzle.ts'
import { toJson } from './to-json.ts'

/** An event that is to be told. */
export interface NewEvent {
  /** `evt_…`, which nobody else has. */
  event_id: string
  type: string
  /** Null where it concerns the whole installation. */
  tenant_id: string | null
  request_id: string
  /** ISO 8601. */
  at: string
  data: Record<string, unknown>
  /** Of what is told once a minute: whose events are counted together; otherwise null. */
  subject: string | null
}

/** The same as a list of columns: `told` has them in this order. */
export const eventColumns = sql.raw('event_id text, type text, tenant_id text, request_id text, at timestamptz, data jsonb, subject text')

/**
 * Parts of a `with` list that follow a part `told` with these columns; `delivery_rows` is the last of them, with a row for each delivery. Endpoints are
 * looked for in the index of tenants, and by both that need them in one place. Events of one subject are one row while a minute lasts, which waits for the end
 * of it; what comes when it has gone out is another. An endpoint that comes within the minute is told of it too, also where it was away and its delivery was
 * given up: its id follows from the event and the endpoint. Rows that others may want too are taken in one order, so that no two statements wait for each other.
 */
export const queueEvents = sql.raw(`
  listening as materialized (
    select a.owner, a.type, w.id, w.tenant_id from (select distinct tenant_id, coalesce(tenant_id, '') as owner, type from told) a cross join lateral (
      select * from webhooks where tenant_id = a.tenant_id union all select * from webhooks where tenant_id is null
    ) w where w.active and w.events ?| array['*', a.type]
  ), wanted as (
    select min(event_id) as id, type, tenant_id, subject, (array_agg(request_id order by event_id))[1] as request_id, min(at) as at,
      (array_agg(data order by event_id))[1] as data, count(*)::int as count
    from told where (coalesce(tenant_id, ''), type) in (select owner, type from listening) group by type, tenant_id, subject, coalesce(subject, event_id)
  ), event_rows as (
    insert into webhook_events as e (id, tenant_id, type, request_id, at, data, subject, count, is_open, minute)
    select id, tenant_id, type, request_id, at, data, subject, count, subject is not null, case when subject is not null then date_trunc('minute', now()) end
    from wanted order by type, tenant_id, subject, id
    on conflict (type, coalesce(tenant_id, ''), subject, minute) where is_open do update set count = e.count + excluded.count
    returning e.id, e.type, e.tenant_id, e.is_open
  ), delivery_rows as (
    insert into webhook_deliveries as d (id, event_id, webhook_id, tenant_id, due_at)
    select v.id, e.id, l.id, l.tenant_id, case when e.is_open then date_trunc('minute', now()) + interval '1 minute' else now() end
    from event_rows e join listening l on l.owner = coalesce(e.tenant_id, '') and l.type = e.type
    cross join lateral (select 'dlv_' || substr(e.id, 5, 10) || left(md5(e.id || l.id), 16) as id) v
    where not e.is_open or not exists (select from webhook_deliveries there where there.id = v.id and there.state <> 'dead')
    on conflict (id) do update set state = 'pending', due_at = excluded.due_at, finished_at = null where d.state = 'dead' and d.tries = 0
    returning webhook_id
  )`)

/** A part `told` of events that come as JSON. */
export const toldAs = (json: unknown): SQL => sql`select * from jsonb_to_recordset(${json}::text::jsonb) as t(${eventColumns})`

/** Tells events in a transaction, and answers how many deliveries that makes. Costs nothing where there are no events. */
export async function tell(tx: Tx, events: readonly NewEvent[]): Promise<number> {
  if (events.length === 0) return 0
  const [answer] = await tx.execute<{ deliveries: number }>(
    sql`with told as (${toldAs(toJson(events))}), ${queueEvents} select count(*)::int as deliveries from delivery_rows`,
  )
  return answer?.deliveries ?? 0
}
