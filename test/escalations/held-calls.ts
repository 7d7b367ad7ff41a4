/** Calls that wait for a person, and databases with tenants whose they are. */
import { hash } from 'node:crypto'
import { emptyEntry } from '../../src/audit/entry.ts'
import { toRow } from '../../src/audit/row.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import type { Db } from '../../src/db/connect.ts'
import { sql } from '../../src/db/drizzle.ts'
import { apiKeys, auditEntries, policyVersions, tenants } from '../../src/db/schema.ts'
import { createEscalations, type Escalations } from '../../src/escalations/escalations.ts'
import type { Expired } from '../../src/escalations/expire.ts'
import type { HeldCall } from '../../src/escalations/held-call.ts'
import { newId } from '../../src/ids.ts'

/** What every call here says. */
export const SAID = 'wire four million to the account of the heron'
export const content = JSON.stringify({ texts: [{ text: SAID }], body: JSON.stringify({ messages: [{ content: SAID }] }) })
export const masterKeys = createKeyProvider([Buffer.alloc(32, 7)])

export async function newTenant(db: Db): Promise<string> {
  const id = newId('t')
  await db.insert(tenants).values({ id, name: id })
  await newPolicy(db, id)
  return id
}

/** The next version. */
export async function newPolicy(db: Db, tenantId: string): Promise<void> {
  const version = sql<number>`(select coalesce(max(version), 0) + 1 from policy_versions where tenant_id = ${tenantId})`
  await db.insert(policyVersions).values({ tenantId, version, rules: [], createdBy: 'admin' })
}

/** The prefix of the key of a tenant that its calls here are made with. */
export const keyOf = (tenantId: string): string => `ef_live_${hash('sha256', tenantId).slice(0, 8)}`

/** One that lives, where the tenant has no such key yet. */
const insertKey = (db: Db, tenantId: string, prefix: string) =>
  db
    .insert(apiKeys)
    .values({ id: newId('key'), tenantId, prefix, hash: prefix, pepperId: 'pepper', name: prefix, scopes: [] })
    .onConflictDoNothing()

let calls = 0
/** A call that was made by nobody else before. */
export const heldCall = (tenantId: string, fields: Partial<HeldCall> = {}): HeldCall => ({
  tenantId,
  caller: keyOf(tenantId),
  keyPrefix: keyOf(tenantId),
  agentId: null,
  userId: null,
  dialect: 'openai-chat',
  endpoint: '/v1/chat/completions',
  model: 'gpt-5',
  rulesTriggered: ['rule_1'],
  policyVersion: 1,
  bodyHash: 'sha256:body',
  callHash: `sha256:${calls++}`,
  bodyBytes: 100,
  content: () => content,
  ...fields,
  requestId: newId('req'),
  auditId: newId('aud'),
})

/** The same call once more, in an exchange of its own. */
export const again = (call: HeldCall, fields: Partial<HeldCall> = {}): HeldCall => ({ ...call, ...fields, requestId: newId('req'), auditId: newId('aud') })

/** Where they are held; whoever makes a call of `heldCall` has a key that lives. */
export function escalationsOn(db: Db, more: Partial<Parameters<typeof createEscalations>[0]> = {}): Escalations & { expired: Expired[]; told: number } {
  const seen = { expired: [] as Expired[], told: 0 }
  const escalations = createEscalations({
    db,
    masterKeys,
    async record(tx, expired) {
      seen.expired.push(expired)
      const entry = { ...emptyEntry({ at: Date.now(), kind: 'change', reason: expired.action }), tenant_id: expired.tenantId }
      await tx.insert(auditEntries).values(toRow(entry))
    },
    told: () => void seen.told++,
    report: (error) => {
      throw error
    },
    ...more,
  })
  return Object.assign(seen, escalations, {
    async ask(call: HeldCall) {
      if (call.keyPrefix === keyOf(call.tenantId)) await insertKey(db, call.tenantId, call.keyPrefix).catch(() => {}) // where it can be: the database may be away
      return escalations.ask(call)
    },
  })
}

/** Everything in the database, as text. */
export async function dump(db: Db): Promise<string> {
  const found = await db.execute<{ name: string }>(sql`select table_name as name from information_schema.tables where table_schema = 'public'`)
  let text = ''
  for (const { name } of found)
    for (const { row } of await db.execute<{ row: string }>(sql`select to_jsonb(t)::text as row from ${sql.identifier(name)} t`)) text += `${name} ${row}\n`
  return text
}
