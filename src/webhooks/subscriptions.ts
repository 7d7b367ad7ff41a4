/** Who listens to which events, in memory: where nobody does, telling costs a call nothing. The database has the last word. */
import type { Db } from '../db/connect.ts'
import { eq } from '../db/drizzle.ts'
import { webhooks } from '../db/schema.ts'
import { EVERY_EVENT, type Listeners } from './event.ts'

export interface Subscriptions extends Listeners {
  /** Reads them again. Until the first time, and where there are too many to know, anybody may listen to anything. */
  load(): Promise<void>
}

/** Endpoints that are read. Of more, nobody is told apart. */
const ENDPOINTS_MAX = 10_000

export function createSubscriptions({ db, endpointsMax = ENDPOINTS_MAX }: { db: Db; endpointsMax?: number }): Subscriptions {
  /** By tenant; of null, who listens to all tenants. Null: nobody knows. */
  let wanted: ReadonlyMap<string | null, ReadonlySet<string>> | null = null

  const has = (tenantId: string | null, type: string): boolean => {
    const names = wanted?.get(tenantId)
    return names !== undefined && (names.has(type) || names.has(EVERY_EVENT))
  }

  return {
    async load() {
      const { tenantId, events, active } = webhooks
      const rows = await db
        .select({ tenantId, events })
        .from(webhooks)
        .where(eq(active, true))
        .limit(endpointsMax + 1)
      const found = Map.groupBy(rows, (row) => row.tenantId)
      wanted = rows.length > endpointsMax ? null : new Map(Array.from(found, ([owner, of]) => [owner, new Set(of.flatMap((row) => row.events))]))
    },
    get isEmpty() {
      return wanted?.size === 0
    },
    wants: (type, tenantId) => wanted === null || has(null, type) || (tenantId !== null && has(tenantId, type)),
  }
}
