/** The versions of a tenant's policy: what was in force when, what changed, and how to go back. */
import { z } from 'zod'
import type { Db, Tx } from '../../db/connect.ts'
import { Refusal } from '../../errors.ts'
import { policyDifference } from '../../rules/difference.ts'
import { findVersion, listVersions, type PolicyVersion, restoreVersion } from '../../rules/store.ts'
import { type AdminParts, change } from '../parts.ts'
import { type Route, route } from '../route.ts'
import { flag, listOf, pageQuery } from '../shapes.ts'
import { dictionaries, plain, plainRule, policyDiff, shownDictionaries, shownVersion, version, versionNumber, writeQuery } from './rule-shapes.ts'
import { rehearse, writingBy } from './rule-writes.ts'

const one = z.object({ version: versionNumber })
const NOTHING = { rules: [], dictionaries: {} }

export function versionRoutes(parts: AdminParts): Route[] {
  const { db } = parts
  const writing = writingBy(parts)

  return [
    route({
      method: 'GET',
      path: '/v1/rules/versions',
      scope: 'rules:read',
      tenant: 'required',
      summary: "Lists the versions of the tenant's policy, newest first. The first is in force.",
      query: z.strictObject(pageQuery()),
      answer: listOf('versions', z.strictObject(version)),
      async run({ tenantId, query }) {
        const { rows, total } = await listVersions(db, tenantId, query)
        return { versions: rows.map(shownVersion), total, ...query }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/rules/versions/{version}',
      scope: 'rules:read',
      tenant: 'required',
      summary: 'One version of the policy: the rules that were active, and the dictionaries.',
      params: one,
      answer: z.strictObject({ ...version, rules: z.array(z.strictObject(plainRule)), dictionaries }),
      async run({ tenantId, params }) {
        const row = await existing(db, tenantId, Number(params.version))
        return { ...shownVersion(row), rules: row.rules.map(plain), dictionaries: shownDictionaries(row.dictionaries) }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/rules/versions/{version}/diff',
      scope: 'rules:read',
      tenant: 'required',
      summary: 'What made this version of the version `against`, which is the one before it unless another is named; 0 is the empty policy.',
      params: one,
      query: z.strictObject({
        against: z
          .string()
          .regex(/^\d{1,9}$/, 'Must be the number of a version.')
          .transform(Number)
          .optional(),
      }),
      answer: z.strictObject({ version: z.number().int(), against: z.number().int(), diff: policyDiff }),
      async run({ tenantId, params, query }) {
        const number = Number(params.version)
        const against = query.against ?? number - 1
        const after = await existing(db, tenantId, number)
        return { version: number, against, diff: policyDifference(against === 0 ? NOTHING : await existing(db, tenantId, against), after) }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules/versions/{version}/restore',
      scope: 'rules:write',
      tenant: 'required',
      summary:
        'Makes the rules of an older version the active ones, with its dictionaries, as a new version, and says what that changed. Rules that were not in it become inactive. dry_run=true only says it.',
      params: one,
      query: z.strictObject({ ...writeQuery, dry_run: flag.optional() }),
      body: z.strictObject({}),
      answer: z.strictObject({
        ...version,
        restored: z.number().int(),
        dry_run: z.boolean(),
        policy_version: z.number().int().meta({ description: 'Of the policy that is in force after this.' }),
        rules: z.array(z.strictObject(plainRule)),
        diff: policyDiff,
      }),
      async run({ tenantId, params, query, actor, requestId }) {
        const number = Number(params.version)
        const isTrial = query.dry_run === true
        const restore = async (tx: Tx) => {
          const fresh = await restoreVersion(tx, tenantId, number, writing(actor, query))
          if (fresh === undefined) throw noVersion()
          return { before: await existing(tx, tenantId, fresh - 1), made: await existing(tx, tenantId, fresh) }
        }
        const { before, made } = isTrial
          ? await rehearse(db, restore)
          : await change(parts, { actor, requestId }, async (tx) => ({
              result: await restore(tx),
              done: { action: 'policy.restore', tenantId, subject: params.version, changes: ['policies'] },
            }))
        return {
          ...shownVersion(made),
          restored: number,
          dry_run: isTrial,
          policy_version: isTrial ? before.version : made.version,
          rules: made.rules.map(plain),
          diff: policyDifference(before, made),
        }
      },
    }),
  ]
}

const noVersion = (): Refusal => new Refusal('not_found', 'There is no such version.')

async function existing(db: Db | Tx, tenantId: string, number: number): Promise<PolicyVersion> {
  const row = await findVersion(db, tenantId, number)
  if (!row) throw noVersion()
  return row
}
