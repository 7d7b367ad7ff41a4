import type { SQL } from 'drizzle-orm'
import type { Database } from './connect.ts'
import { PgDialect } from './drizzle.ts'

const dialect = new PgDialect()

/**
 * Runs a statement made with Drizzle's `sql` template that is run again and again: the server parses and plans it once for each connection. JSON goes in
 * as `${text}::text::jsonb`, or the driver would encode it a second time. `sql` may be a transaction's.
 */
export async function runPrepared({ sql }: { sql: Pick<Database['sql'], 'unsafe'> }, statement: SQL): Promise<readonly Record<string, unknown>[]> {
  const { sql: text, params } = dialect.sqlToQuery(statement)
  return await sql.unsafe(text, params as never[], { prepare: true })
}
