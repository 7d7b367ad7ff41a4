import postgres from 'postgres'
import { ask } from '../ask.ts'

const BACKLOG_WAITS_MAX = 60
/** As long as a question to the management API waits for what was not written yet. */
const RECORDED_MS = 1_000

/** Counts the tenant's exchanges from now on, past Earthflow, in the table itself. */
export async function rowCounter(databaseUrl: string, tenantId: string, origin: string, key: string): Promise<() => Promise<number>> {
  const count = async (): Promise<number> => {
    await settled(origin, key)
    const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
    try {
      const [row] = await sql<[{ count: number }]>`select count(*)::int as count from audit_entries where kind = 'exchange' and tenant_id = ${tenantId}`
      return row.count
    } finally {
      await sql.end()
    }
  }
  const before = await count()
  return async () => (await count()) - before
}

/** Rows go into the database behind the calls: who asks for some waits for what has ended. */
async function settled(origin: string, key: string): Promise<void> {
  for (let waits = 0; waits < BACKLOG_WAITS_MAX; waits++) {
    const began = performance.now()
    await ask(`${origin}/v1/audit?limit=1`, { headers: { authorization: `Bearer ${key}` } })
    if (performance.now() - began < RECORDED_MS) return
  }
}
