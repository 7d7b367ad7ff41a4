/** What a backup says in words that need no database: tenants, their rules, checkpoints, and how many rows there are. All of one moment. */
import type { Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'

/** The tables whose rows are counted, before and after. */
const countedTables = [
  'tenants',
  'api_keys',
  'users',
  'upstreams',
  'rules',
  'policy_versions',
  'budgets',
  'webhooks',
  'audit_entries',
  'audit_checkpoints',
] as const

export interface Facts {
  origin: string
  migration: number
  serverVersion: string
  /** `server_version_num` */
  serverVersionNumber: number
  masterKeys: string[]
  counts: Record<string, number>
}

/** The tables are read by their names in the database, so that one of an earlier version can be read too. */
export async function readFacts(tx: Tx): Promise<Facts> {
  const [about] = await tx.execute<{ origin: string | null; migration: string | null; version: string; number: number }>(sql`select
    (select origin from audit_log) as origin, (select max(created_at) from drizzle.__drizzle_migrations)::text as migration,
    current_setting('server_version') as version, current_setting('server_version_num')::int as number`)
  return {
    origin: about?.origin ?? '',
    migration: Number(about?.migration ?? 0),
    serverVersion: about?.version ?? '',
    serverVersionNumber: about?.number ?? 0,
    masterKeys: await masterKeysOf(tx),
    counts: await countRows(tx),
  }
}

export async function countRows(tx: Tx): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of countedTables) {
    const [row] = await tx.execute<{ rows: string }>(sql`select count(*)::text as rows from ${sql.identifier(table)}`)
    counts[table] = Number(row?.rows ?? 0)
  }
  return counts
}

/** The master keys under which every data key is wrapped: each of them opens all. Their fingerprints, which is what wrappings are called by. */
async function masterKeysOf(tx: Tx): Promise<string[]> {
  const rows = await tx.execute<{ id: string }>(sql`select id from (
      select jsonb_object_keys(wrappings) as id, count(*) as wrapped from data_keys group by 1
    ) as each_key where wrapped = (select count(*) from data_keys) order by id`)
  return rows.map(({ id }) => id)
}

/** Tenants as their rows are. There is no secret in them. */
export async function readTenants(tx: Tx): Promise<Record<string, unknown>[]> {
  const rows = await tx.execute<{ tenant: Record<string, unknown> }>(sql`select to_jsonb(t) as tenant from tenants t order by id`)
  return rows.map(({ tenant }) => tenant)
}

/** A tenant's rules and dictionaries, as `earthflow apply` takes them: JSON is YAML. */
export async function readPolicy(tx: Tx, tenantId: string): Promise<Record<string, unknown>> {
  const [found] = await tx.execute<{ rules: unknown[] | null; dictionaries: Record<string, unknown> | null }>(sql`select
    (select jsonb_agg(to_jsonb(r) - 'tenant_id' - 'created_at' - 'updated_at' order by priority desc, id) from rules r where tenant_id = ${tenantId}) as rules,
    (select jsonb_object_agg(name, jsonb_build_object('terms', terms, 'case_sensitive', case_sensitive)) from dictionaries where tenant_id = ${tenantId}) as dictionaries`)
  return { tenant: tenantId, mode: 'replace', rules: found?.rules ?? [], dictionaries: found?.dictionaries ?? {} }
}

/** As GET /v1/audit/checkpoints answers, so that `earthflow audit verify --checkpoints` takes them. */
export async function readCheckpointNotes(tx: Tx): Promise<{ tree_size: number; note: string }[]> {
  const rows = await tx.execute<{ tree_size: string; note: string }>(sql`select tree_size::text, note from audit_checkpoints order by tree_size`)
  return rows.map(({ tree_size, note }) => ({ tree_size: Number(tree_size), note }))
}
