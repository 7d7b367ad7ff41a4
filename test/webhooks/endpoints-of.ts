/** Endpoints as rows, and what was queued for them, for tests of who is told what. */
import type { Database } from '../../src/db/connect.ts'
import { webhooks } from '../../src/db/schema.ts'
import { newId } from '../../src/ids.ts'

/** An endpoint that is active unless said otherwise; null: of the installation. Returns its id. */
export async function listen({ db }: Pick<Database, 'db'>, tenantId: string | null, events: string[], active = true): Promise<string> {
  const id = newId('wh')
  await db.insert(webhooks).values({ id, tenantId, url: 'https://siem.example', events, active, secret: 'sealed', createdBy: 'test' })
  return id
}

export interface Queued {
  id: string
  type: string
  tenant_id: string | null
  request_id: string
  subject: string | null
  count: number
  data: Record<string, unknown>
  deliveries: string[]
}

/** Every event there is, in order, with the endpoints that are to be told of it. */
export async function queued({ sql }: Pick<Database, 'sql'>): Promise<Queued[]> {
  const rows = await sql<Queued[]>`
    select e.id, e.type, e.tenant_id, e.request_id, e.subject, e.count, e.data,
      (select coalesce(array_agg(d.webhook_id order by d.webhook_id), '{}') from webhook_deliveries d where d.event_id = e.id) as deliveries
    from webhook_events e order by e.sequence`
  return [...rows]
}

export const forget = ({ sql }: Pick<Database, 'sql'>): Promise<unknown> => sql`truncate webhooks, webhook_events, webhook_deliveries`

/** So that what a test counts in a minute is not split by the end of one. */
export async function atTheBeginningOfAMinute({ sql }: Pick<Database, 'sql'>): Promise<void> {
  const [now] = await sql<{ left: number }[]>`select 60 - extract(second from clock_timestamp())::float8 as left`
  if (now && now.left < 2) await new Promise((resolve) => setTimeout(resolve, now.left * 1000 + 100))
}
