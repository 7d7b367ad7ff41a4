import type { Placeholder, SQL } from 'drizzle-orm'
import type { Database } from './connect.ts'
import { PgDialect, sql } from './drizzle.ts'

const dialect = new PgDialect()

/** The text of a statement, and what stands for $1, $2, … in it. */
export interface Statement {
  text: string
  params: readonly unknown[]
}

/**
 * A statement that is sent again and again: Drizzle makes its text once, and what differs each time are the values that `make` names. JSON goes in as
 * `${value}::text::jsonb`, or the driver would encode it a second time.
 */
export function prepared<Name extends string>(make: (value: (name: Name) => Placeholder<Name>) => SQL): (values: Readonly<Record<Name, unknown>>) => Statement {
  let made: { text: string; names: readonly Name[] } | undefined
  return (values) => {
    made ??= namesIn(make((name) => sql.placeholder(name)))
    return { text: made.text, params: made.names.map((name) => values[name]) }
  }
}

function namesIn<Name extends string>(statement: SQL): { text: string; names: readonly Name[] } {
  const { sql: text, params } = dialect.sqlToQuery(statement)
  return { text, names: params.map((param) => (param as Placeholder<Name>).name) }
}

/** Runs a statement that is run again and again: the server parses and plans it once for each connection. `sql` may be a transaction's. */
export async function runPrepared({ sql }: { sql: Pick<Database['sql'], 'unsafe'> }, statement: SQL | Statement): Promise<readonly Record<string, unknown>[]> {
  const { text, params } = 'text' in statement ? statement : statementOf(statement)
  return await sql.unsafe(text, params as never[], { prepare: true })
}

function statementOf(statement: SQL): Statement {
  const { sql: text, params } = dialect.sqlToQuery(statement)
  return { text, params }
}
