/** A tenant's whole policy as one document, out and in again. */
import { z } from 'zod'
import type { Tx } from '../../db/connect.ts'
import { type RuleBudget, withoutBudget } from '../../rules/budget.ts'
import { checkedDictionaries, dictionariesOf } from '../../rules/dictionaries.ts'
import { type PolicyChange, policyDifference } from '../../rules/difference.ts'
import { type Imported, type ImportPlan, planImport } from '../../rules/import-plan.ts'
import type { Dictionaries } from '../../rules/rule.ts'
import { RuleError } from '../../rules/rule-error.ts'
import { findVersion, RULES_PER_TENANT_MAX, type RuleWriter, rulesOfTenant, toRule, writeRules } from '../../rules/store.ts'
import { type AdminParts, change } from '../parts.ts'
import { ignored } from '../read-only.ts'
import { type Route, route } from '../route.ts'
import { placedDraftOf, readEach } from './rule-drafts.ts'
import { dictionaries, draft, plain, plainRule, policyDiff, shownDictionaries, writeQuery } from './rule-shapes.ts'
import { rehearse, writingBy } from './rule-writes.ts'

const FORMAT = 'earthflow-rules/1' as const
/** Room for what a tenant may have, so that what was exported can be imported. */
const IMPORT_BYTES_MAX = 8 << 20
/** Checking the patterns of one import, between whose rules others get their turn. */
const IMPORT_CHECK_MS_MAX = 5_000
const importBudget = (): RuleBudget => ({ ...withoutBudget(), msLeft: IMPORT_CHECK_MS_MAX })

const imported = z.strictObject({
  format: z.literal(FORMAT).optional(),
  policy_version: ignored,
  rules: z.array(draft).max(RULES_PER_TENANT_MAX),
  dictionaries: dictionaries.optional(),
  mode: z.enum(['merge', 'replace']).default('merge'),
  dry_run: z.boolean().default(false),
})

const importResult = z.strictObject({
  created: z.number().int(),
  updated: z.number().int(),
  unchanged: z.number().int(),
  deleted: z.number().int(),
  diff: policyDiff,
  dry_run: z.boolean(),
  policy_version: z.number().int().meta({ description: 'Of the policy that is in force after this.' }),
})

export function importRoutes(parts: AdminParts): Route[] {
  const { db } = parts
  const writing = writingBy(parts)

  return [
    route({
      method: 'GET',
      path: '/v1/rules/export',
      scope: 'rules:read',
      tenant: 'required',
      summary: 'The rules of the tenant, active or not, and its dictionaries, as POST /v1/rules/import takes them.',
      answer: z.strictObject({ format: z.literal(FORMAT), policy_version: z.number().int(), rules: z.array(z.strictObject(plainRule)), dictionaries }),
      async run({ tenantId }) {
        // One transaction, so that all three are of one moment.
        const { version, rows, lists } = await db.transaction(
          async (tx) => ({
            version: (await findVersion(tx, tenantId))?.version ?? 0,
            rows: await rulesOfTenant(tx, tenantId),
            lists: await dictionariesOf(tx, tenantId),
          }),
          { isolationLevel: 'repeatable read', accessMode: 'read only' },
        )
        return { format: FORMAT, policy_version: version, rules: rows.map((row) => plain(toRule(row))), dictionaries: shownDictionaries(lists) }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules/import',
      scope: 'rules:write',
      tenant: 'required',
      summary:
        'Brings rules and dictionaries in, all or none; what was exported changes nothing. Rules are known by their id, else by preset and name. replace removes what is not named. dry_run only says what would change.',
      query: z.strictObject(writeQuery),
      body: imported,
      bodyBytesMax: IMPORT_BYTES_MAX,
      answer: importResult,
      async run({ tenantId, query, body, actor, requestId }) {
        const present = { rules: (await rulesOfTenant(db, tenantId)).map(toRule), dictionaries: await dictionariesOf(db, tenantId) }
        const brought = await read(body, present.dictionaries)
        const inForce = (await findVersion(db, tenantId))?.version ?? 0
        const plan = planImport(brought, present)
        // May be asked every minute: what changes nothing makes neither a version nor a record.
        if (plan.changesNothing) return answer(plan, policyDifference(present, present), { dry_run: body.dry_run, policy_version: inForce })
        const bring = async (tx: Tx) => {
          const { result, version } = await writeRules(tx, tenantId, writing(actor, query), async (write) => {
            const before = await contentOf(write)
            const plan = planImport(brought, before)
            await carryOut(plan, write)
            return { plan, diff: policyDifference(before, await contentOf(write)) }
          })
          return { ...result, version }
        }
        if (body.dry_run) {
          const { plan, diff } = await rehearse(db, bring)
          return answer(plan, withoutIds(diff), { dry_run: true, policy_version: inForce })
        }
        const done = await change(parts, { actor, requestId }, async (tx) => ({
          result: await bring(tx),
          done: { action: `rules.import.${body.mode}`, tenantId, subject: tenantId, changes: ['policies'] },
        }))
        return answer(done.plan, done.diff, { dry_run: false, policy_version: done.version })
      },
    }),
  ]
}

/** Checks everything, and names all that is wrong. Throws a Refusal or a RuleError. */
async function read({ rules, dictionaries: given, mode }: z.output<typeof imported>, present: Dictionaries): Promise<Imported> {
  const lists = given && checkedDictionaries(given)
  const known = mode === 'replace' && lists ? lists : { ...present, ...lists }
  const budget = importBudget()
  const ids = new Set<string>()
  const drafts = await readEach(rules, (one, index) => {
    const place = `rules.${index}`
    const { id = null, preset = null } = one
    if (id !== null && typeof id !== 'string') throw new RuleError('invalid_request', `${place}.id`, 'An id must be a string.')
    if (id !== null && ids.has(id)) throw new RuleError('invalid_request', `${place}.id`, 'Another rule of this import has the same id.')
    if (id !== null) ids.add(id)
    return { id, draft: placedDraftOf(one, place, { dictionaries: known, budget, preset }) }
  })
  return { rules: drafts, dictionaries: lists ?? null, mode }
}

const contentOf = async (write: RuleWriter) => ({ rules: (await write.all()).map(toRule), dictionaries: await write.dictionaries() })

async function carryOut({ created, updated, deleted, putDictionaries, removedDictionaries }: ImportPlan, write: RuleWriter): Promise<void> {
  for (const [name, dictionary] of Object.entries(putDictionaries)) await write.putDictionary(name, dictionary)
  await write.remove(deleted)
  for (const { id, draft } of updated) await write.change(id, draft)
  await write.insert(created)
  for (const name of removedDictionaries) await write.removeDictionary(name)
}

function answer(
  { created, updated, unchanged, deleted }: ImportPlan,
  diff: z.input<typeof policyDiff>,
  more: { dry_run: boolean; policy_version: number },
): z.input<typeof importResult> {
  return { created: created.length, updated: updated.length, unchanged, deleted: deleted.length, diff, ...more }
}

/** The ids of rules that are rolled back are nobody's. */
const withoutIds = (diff: PolicyChange): z.input<typeof policyDiff> => ({ ...diff, added: diff.added.map(({ name }) => ({ rule_id: null, name })) })
