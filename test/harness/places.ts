/** Where an Earthflow may have left something: its data folder and its database. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import postgres from 'postgres'
import type { Place } from './canaries.ts'

/** Of a table: of a larger one, these many rows are read. */
const ROWS_MAX = 50_000

/** Tables that hold what tenants and their people write on purpose. */
const written = new Set(['agents', 'budgets', 'cost_ledger', 'dictionaries', 'policy_versions', 'quarantines', 'rules', 'tenants', 'upstreams', 'users'])

/** Files of the data folder in which secrets are kept on purpose. */
const secretFiles = new Set(['secrets', 'demo'])

/** Every file below a folder. */
export function* filesOf(dir: string, except: ReadonlySet<string> = secretFiles): Generator<Place> {
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(dir, path)
    if (entry.isFile() && !except.has(name)) yield { name, bytes: readFileSync(path) }
  }
}

/** Every table of a database that is not empty, as the text a dump would hold. */
export async function tablesOf(url: string): Promise<Place[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string; quoted: string }[]>`
      select relname as name, oid::regclass::text as quoted from pg_class
      where relkind = 'r' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema') and pg_relation_size(oid) > 0 order by 1`
    if (tables.length === 0) return []
    const each = tables.map(({ quoted }, i) => `(select json_agg(t)::text from (select * from ${quoted} limit ${ROWS_MAX}) t) as t${i}`)
    const [row] = await sql.unsafe<Record<string, string | null>[]>(`select ${each.join(', ')}`)
    return tables.map(({ name }, i) => ({ name: `table ${name}`, bytes: Buffer.from(row?.[`t${i}`] ?? ''), isWritten: written.has(name) }))
  } finally {
    await sql.end({ timeout: 0 })
  }
}
