import { z } from 'zod'
import { countRotatable, databaseNow, listRotatable, ROTATED_MAX, type Rotated, type RotationReach, replaceKeys } from '../access/rotate-keys.ts'
import { findTenant } from '../access/tenants.ts'
import { announce } from '../db/changes.ts'
import type { Tx } from '../db/connect.ts'
import { liveProcesses } from '../db/processes.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { noTenant } from './credentials.ts'
import { type AdminParts, type Author, recordBy } from './parts.ts'
import { type Route, route } from './route.ts'
import { moment, timestamp } from './shapes.ts'

/** How data keys are wrapped under the current master key of this process. */
export interface MasterKeys {
  /** The id of that master key. */
  readonly masterKey: string
  /** Wraps some of the data keys that lack it, and in the same transaction writes the record of it; 0: none does. */
  some(record: (tx: Tx, wrapped: number) => Promise<void>): Promise<number>
  count(): Promise<{ dataKeys: number; lacking: number; old: Record<string, number> }>
}

const END_AFTER_SECONDS_MAX = 7 * 86_400
const END_AFTER_SECONDS = 3_600
/** Well below what a management call may take. What is left is wrapped by the next. */
const WRAP_MS_MAX = 10_000

const keysAsked = z.strictObject({
  tenant_id: z.string().max(64).optional().meta({ description: "Whose keys; without it every tenant's." }),
  revoke_old_after_seconds: z
    .number()
    .int()
    .min(0)
    .max(END_AFTER_SECONDS_MAX)
    .default(END_AFTER_SECONDS)
    .meta({ description: '0 revokes the old keys at once.' }),
  created_before: moment.optional().meta({ description: 'As the answer before said it, where several are needed: no key is then rotated twice.' }),
  dry_run: z.boolean().default(false),
})

const rotatedKey = z.strictObject({
  tenant_id: z.string(),
  prefix: z.string(),
  name: z.string(),
  successor: z.string().nullable(),
  api_key: z.string().optional(),
})

export function rotationRoutes(parts: AdminParts): Route[] {
  const { db, now, rewrap } = parts

  return [
    route({
      method: 'POST',
      path: '/v1/ops/rotate-keys',
      scope: 'ops:write',
      tenant: 'none',
      summary: `Gives each active key a successor with the same rights, which is shown only in this answer; at most ${ROTATED_MAX} at once, and \`remaining\` says how many are left.`,
      body: keysAsked.meta({ examples: [{ dry_run: true }] }),
      answer: z.strictObject({
        rotated: z.array(rotatedKey),
        remaining: z.number().int(),
        revoke_old_after_seconds: z.number().int(),
        created_before: timestamp,
        dry_run: z.boolean(),
      }),
      async run({ body, actor, requestId }) {
        const { tenant_id: tenantId = null, revoke_old_after_seconds: endAfterSeconds, dry_run } = body
        if (tenantId !== null && !(await findTenant(db, tenantId))) throw noTenant()
        const at = new Date(now())
        const present = await databaseNow(db)
        const createdBefore = body.created_before && body.created_before < present ? body.created_before : present
        const reach: RotationReach = { tenantId, createdBefore }
        const total = await countRotatable(db, reach, at)
        const said = { revoke_old_after_seconds: endAfterSeconds, created_before: createdBefore.toISOString(), dry_run }
        if (dry_run) {
          const keys = await listRotatable(db, reach, { at, limit: ROTATED_MAX })
          const rotated = keys.map(({ tenantId, prefix, name }) => ({ tenant_id: tenantId, prefix, name, successor: null }))
          return { rotated, remaining: Math.max(0, total - rotated.length), ...said }
        }
        const rotated = await rotate(reach, { actor, requestId }, { at, endAfterSeconds, count: Math.min(total, ROTATED_MAX) })
        return { rotated: rotated.map(shown), remaining: await countRotatable(db, reach, at), ...said }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/ops/rotate-master',
      scope: 'ops:write',
      tenant: 'none',
      summary:
        'Wraps every data key under the current master key of this process too, and says how far the rotation is; again it goes on. No master key is ever sent.',
      body: z.strictObject({}),
      answer: z.strictObject({
        master_key: z.string(),
        data_keys: z.number().int(),
        wrapped_now: z.number().int(),
        lacking: z.number().int(),
        processes: z.array(z.strictObject({ id: z.string(), host: z.string(), master_keys: z.array(z.string()), current: z.boolean() })),
        old: z.record(z.string(), z.number().int()),
      }),
      async run({ actor, requestId }) {
        const { masterKey } = rewrap
        let wrapped = 0
        for (const end = now() + WRAP_MS_MAX; now() < end; ) {
          const some = await rewrap.some((tx, dataKeys) =>
            recordBy(tx, parts, { actor, requestId }, { action: 'master_key.rotate', tenantId: null, subject: masterKey, details: { data_keys: dataKeys } }),
          )
          if (some === 0) break
          wrapped += some
        }
        const { dataKeys, lacking, old } = await rewrap.count()
        const processes = await liveProcesses(db)
        return {
          master_key: masterKey,
          data_keys: dataKeys,
          wrapped_now: wrapped,
          lacking,
          processes: processes.map(({ id, host, masterKeys }) => ({ id, host, master_keys: masterKeys, current: masterKeys[0] === masterKey })),
          old,
        }
      },
    }),
  ]

  /** One transaction: the keys, one record for each tenant, and the announcements. */
  async function rotate(
    reach: RotationReach,
    { actor, requestId }: Author,
    { at, endAfterSeconds, count }: { at: Date; endAfterSeconds: number; count: number },
  ): Promise<Rotated[]> {
    if (count === 0) return []
    const minted = await Promise.all(Array.from({ length: count }, () => parts.keys.mint()))
    const rotated = await retryConflicts(() =>
      db.transaction(async (tx) => {
        const replaced = await replaceKeys(tx, reach, { minted, at, endAfterSeconds })
        const ofTenants = Map.groupBy(replaced, ({ tenantId }) => tenantId)
        for (const [tenantId, keys] of ofTenants) {
          const details = { keys: keys.length, revoke_after_seconds: endAfterSeconds }
          await recordBy(tx, parts, { actor, requestId }, { action: 'key.rotate', tenantId, subject: tenantId, details })
        }
        for (const tenantId of ofTenants.keys()) await announce(tx, 'keys', tenantId) // last, as announce demands
        return replaced
      }),
    )
    // It is committed: whoever could not read it again now will do so at the next poll.
    await parts.changed().catch((error: unknown) => parts.report(error, { requestId }))
    return rotated
  }
}

const shown = ({ tenantId, prefix, name, successor }: Rotated): z.input<typeof rotatedKey> => ({
  tenant_id: tenantId,
  prefix,
  name,
  successor: successor.prefix,
  api_key: successor.key,
})
