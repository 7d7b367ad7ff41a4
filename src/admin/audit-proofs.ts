/** What makes the audit log provable to whoever reads it: signed checkpoints, the proof of an entry, and a look at the newest entries. */
import { z } from 'zod'
import { checkEntries } from '../audit/chain/check-entries.ts'
import { createProofs, newestCheckpoint } from '../audit/chain/proofs.ts'
import { findRow } from '../audit/query.ts'
import { count, desc } from '../db/drizzle.ts'
import { auditCheckpoints } from '../db/schema.ts'
import { Refusal } from '../errors.ts'
import type { AdminParts } from './parts.ts'
import { type Route, route } from './route.ts'
import { pageQuery, timestamp, wholeNumber } from './shapes.ts'

const VERIFY_LIMIT = 1_000
const VERIFY_MAX = 10_000

const checkpoint = z.strictObject({
  tree_size: z.number().int(),
  root: z.string().meta({ description: 'Base64.' }),
  note: z.string().meta({ description: 'The checkpoint, signed: C2SP tlog-checkpoint.' }),
  created_at: timestamp,
})
const publicKey = z
  .string()
  .meta({ description: 'The key of the checkpoints, as C2SP signed-note writes it. Keep it where this installation cannot change it.' })
const chain = z.strictObject({
  writer_id: z.string(),
  seq: z.number().int(),
  tenant_prev: z.number().int(),
  salt: z.string().nullable(),
  payload_hash: z.string(),
  erased_by: z.string().nullable(),
  index: z.number().int().nullable(),
  tree_size: z.number().int().nullable(),
  path: z.array(z.string()).nullable(),
})

export function auditProofRoutes({ db, logKey }: AdminParts): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/audit/checkpoints',
      scope: 'audit:read',
      tenant: 'optional',
      summary: 'The signed heads of the tree over all entries, newest first, and the key that they are verified with.',
      query: z.strictObject(pageQuery()),
      answer: z.strictObject({
        checkpoints: z.array(checkpoint),
        total: z.number().int(),
        limit: z.number().int(),
        offset: z.number().int(),
        origin: z.string(),
        public_key: publicKey,
      }),
      async run({ query: { limit, offset } }) {
        const { origin, vkey } = await logKey()
        const [counted] = await db.select({ total: count() }).from(auditCheckpoints)
        const rows = await db.select().from(auditCheckpoints).orderBy(desc(auditCheckpoints.treeSize)).limit(limit).offset(offset)
        const checkpoints = rows.map(({ treeSize, root, note, createdAt }) => ({
          tree_size: treeSize,
          root: root.toString('base64'),
          note,
          created_at: createdAt.toISOString(),
        }))
        return { checkpoints, total: counted.total, limit, offset, origin, public_key: vkey }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/audit/verify',
      scope: 'audit:read',
      tenant: 'optional',
      summary:
        'Looks whether the newest entries say what was logged and stand in the tree that the newest checkpoint signs. `earthflow audit verify` looks at all of them, and needs not trust this server.',
      query: z.strictObject({ limit: wholeNumber(1, VERIFY_MAX).default(VERIFY_LIMIT) }),
      answer: z.strictObject({
        verified: z.boolean(),
        entries: z.number().int(),
        covered: z.number().int(),
        not_yet_covered: z.number().int(),
        tree_size: z.number().int(),
        problems: z.array(z.strictObject({ audit_id: z.string().nullable(), problem: z.string() })),
        public_key: publicKey,
      }),
      async run({ tenantId, query }) {
        const key = await logKey()
        return { ...(await checkEntries(db, tenantId, query.limit, key)), public_key: key.vkey }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/audit/{id}/proof',
      scope: 'audit:read',
      tenant: 'optional',
      summary: 'What proves one entry: its place, the way from its leaf to the root of the tree, and the checkpoint that signs that root. Null: not yet.',
      params: z.object({ id: z.string() }),
      answer: z.strictObject({ audit_id: z.string(), chain: chain.nullable(), note: z.string().nullable(), public_key: publicKey }),
      async run({ tenantId, params }) {
        const row = await findRow(db, tenantId, params.id)
        if (!row) throw new Refusal('not_found', 'There is no such entry.')
        const newest = await newestCheckpoint(db)
        const [proof] = await createProofs(db, newest?.treeSize ?? 0)([row])
        const isCovered = proof !== null && proof.index !== null
        return { audit_id: row.auditId, chain: proof, note: isCovered ? (newest?.note ?? null) : null, public_key: (await logKey()).vkey }
      },
    }),
  ]
}
