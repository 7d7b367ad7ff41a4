/** The rules of tenants and the versions of their policies. There is no way to change a rule without making a version.
 * Whoever writes announces a change of 'policies' at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, asc, count, desc, eq, inArray } from '../db/drizzle.ts'
import { policyVersions, rules, tenants } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { Failure, Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { type RuleBudget, withoutBudget } from './budget.ts'
import { compile } from './compile.ts'
import { checkDictionaries, dictionariesOf, putDictionary, removeDictionary } from './dictionaries.ts'
import type { Policy } from './policy.ts'
import type { Dictionaries, Dictionary, Rule } from './rule.ts'
import { RuleError } from './rule-error.ts'
import { createVariants, type Variant, type Variants } from './variants.ts'

export type RuleRow = typeof rules.$inferSelect
export type NewRule = Omit<Rule, 'id'>

export interface PolicyVersion {
  version: number
  rules: readonly Rule[]
  dictionaries: Dictionaries
  createdBy: string
  createdAt: Date
}

/** Who writes, when, and, where a writer must not overlook another's change, the version of the policy that is to be in force until then. */
export interface Writing {
  createdBy: string
  at: Date
  expectedVersion?: number | undefined
}

export const RULES_PER_TENANT_MAX = 5_000

/** Preparing the patterns of all active rules when they change: every process does it again, for calls wait or go by the old policy meanwhile. */
const PREPARE_MS_MAX = 2_000
const preparation = (): RuleBudget => ({ ...withoutBudget(), msLeft: PREPARE_MS_MAX })

export interface RuleFilter {
  preset?: string | undefined
  action?: Rule['action'] | undefined
  mode?: Rule['mode'] | undefined
  active?: boolean | undefined
}

interface Page {
  limit: number
  offset: number
}

/** Highest priority first. `tenantId` null is for the administrator and means every tenant. */
export async function listRules(
  db: Db | Tx,
  tenantId: string | null,
  { preset, action, mode, active }: RuleFilter,
  { limit, offset }: Page,
): Promise<{ rows: RuleRow[]; total: number }> {
  const which = and(
    tenantId === null ? undefined : eq(rules.tenantId, tenantId),
    preset === undefined ? undefined : eq(rules.preset, preset),
    action === undefined ? undefined : eq(rules.action, action),
    mode === undefined ? undefined : eq(rules.mode, mode),
    active === undefined ? undefined : eq(rules.active, active),
  )
  const [counted] = await db.select({ total: count() }).from(rules).where(which)
  const rows = await db.select().from(rules).where(which).orderBy(desc(rules.priority), asc(rules.createdAt), asc(rules.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

export async function findRule(db: Db | Tx, tenantId: string | null, id: string): Promise<RuleRow | undefined> {
  const [row] = await db
    .select()
    .from(rules)
    .where(and(tenantId === null ? undefined : eq(rules.tenantId, tenantId), eq(rules.id, id)))
    .limit(1)
  return row
}

/** Every rule of a tenant, active or not, by id. */
export const rulesOfTenant = (db: Db | Tx, tenantId: string): Promise<RuleRow[]> =>
  db.select().from(rules).where(eq(rules.tenantId, tenantId)).orderBy(asc(rules.id))

/** What may be done to a tenant's rules and dictionaries while they are locked. */
export interface RuleWriter {
  all(): Promise<RuleRow[]>
  insert(fresh: readonly NewRule[]): Promise<RuleRow[]>
  change(id: string, fields: Partial<NewRule>): Promise<RuleRow | undefined>
  remove(ids: readonly string[]): Promise<RuleRow[]>
  dictionaries(): Promise<Dictionaries>
  putDictionary(name: string, dictionary: Dictionary): Promise<void>
  /** False: there was none. */
  removeDictionary(name: string): Promise<boolean>
}

/**
 * Changes a tenant's rules and makes the next version of its policy of what is active then, as one: other changes of this tenant wait, so versions have
 * no gaps. Throws RuleError, and changes nothing, when the rules together make no policy, and a Refusal when another version than expected is in force.
 */
export async function writeRules<Result>(
  tx: Tx,
  tenantId: string,
  { createdBy, at, expectedVersion }: Writing,
  work: (write: RuleWriter) => Promise<Result>,
): Promise<{ result: Result; version: number }> {
  await tx.select({ id: tenants.id }).from(tenants).where(eq(tenants.id, tenantId)).for('no key update')
  const inForce = await latest(tx, tenantId)
  if (expectedVersion !== undefined && expectedVersion !== inForce)
    throw new Refusal('conflict', `Version ${inForce} of the policy is in force, not the expected one.`, { context: { policy_version: inForce } })
  const mine = eq(rules.tenantId, tenantId)
  const result = await work({
    all: () => rulesOfTenant(tx, tenantId),
    insert: async (fresh) =>
      fresh.length === 0
        ? []
        : tx
            .insert(rules)
            .values(rowsOf(tenantId, fresh, at))
            .returning(),
    change: async (id, fields) =>
      (
        await tx
          .update(rules)
          .set({ ...(fields as Partial<RuleRow>), updatedAt: at })
          .where(and(mine, eq(rules.id, id)))
          .returning()
      )[0],
    remove: async (ids) =>
      ids.length === 0
        ? []
        : tx
            .delete(rules)
            .where(and(mine, inArray(rules.id, [...ids])))
            .returning(),
    dictionaries: () => dictionariesOf(tx, tenantId),
    putDictionary: (name, dictionary) => putDictionary(tx, tenantId, name, dictionary, at),
    removeDictionary: (name) => removeDictionary(tx, tenantId, name),
  })
  const rows = await tx.select().from(rules).where(mine).orderBy(desc(rules.priority), asc(rules.id))
  if (rows.length > RULES_PER_TENANT_MAX) throw new RuleError('config', '', `A tenant can have at most ${RULES_PER_TENANT_MAX} rules.`)
  const version = inForce + 1
  const active = rows.filter((row) => row.active).map(toRule)
  const dictionaries = await dictionariesOf(tx, tenantId)
  checkDictionaries(dictionaries)
  compile(version, active, dictionaries, preparation())
  await tx.insert(policyVersions).values({ tenantId, version, rules: active, dictionaries: storable(dictionaries), createdBy, createdAt: at })
  return { result, version }
}

const storable = (dictionaries: Dictionaries): (typeof policyVersions.$inferInsert)['dictionaries'] =>
  Object.fromEntries(Object.entries(dictionaries).map(([name, { terms, case_sensitive }]) => [name, { terms: [...terms], case_sensitive }]))

/**
 * Brings the rules and dictionaries of an older version back as a new version. Rules that are active now and were not in it become inactive;
 * dictionaries that were not in it stay, for these rules' sake. Undefined: no such version.
 */
export async function restoreVersion(tx: Tx, tenantId: string, version: number, author: Writing): Promise<number | undefined> {
  const restored = await findVersion(tx, tenantId, version)
  if (!restored) return undefined
  const written = await writeRules(tx, tenantId, author, async (write) => {
    for (const [name, dictionary] of Object.entries(restored.dictionaries)) await write.putDictionary(name, dictionary)
    const now = await write.all()
    for (const rule of restored.rules) {
      const { id, ...fields } = rule
      if (now.some((row) => row.id === id)) await write.change(id, { ...fields, active: true })
      else await tx.insert(rules).values({ ...toRow(tenantId, fields, author.at), id })
    }
    for (const row of now) if (row.active && !restored.rules.some(({ id }) => id === row.id)) await write.change(row.id, { active: false })
  })
  return written.version
}

/** Newest first; rules and dictionaries are left out. */
export async function listVersions(
  db: Db | Tx,
  tenantId: string,
  { limit, offset }: Page,
): Promise<{ rows: Omit<PolicyVersion, 'rules' | 'dictionaries'>[]; total: number }> {
  const mine = eq(policyVersions.tenantId, tenantId)
  const [counted] = await db.select({ total: count() }).from(policyVersions).where(mine)
  const { version, createdBy, createdAt } = policyVersions
  const rows = await db.select({ version, createdBy, createdAt }).from(policyVersions).where(mine).orderBy(desc(version)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

/** Without a number, the version in force. */
export async function findVersion(db: Db | Tx, tenantId: string, version?: number): Promise<PolicyVersion | undefined> {
  const [row] = await db
    .select()
    .from(policyVersions)
    .where(and(eq(policyVersions.tenantId, tenantId), version === undefined ? undefined : eq(policyVersions.version, version)))
    .orderBy(desc(policyVersions.version))
    .limit(1)
  return row && { ...row, rules: row.rules as Rule[] }
}

async function latest(tx: Tx, tenantId: string): Promise<number> {
  const [row] = await tx
    .select({ version: policyVersions.version })
    .from(policyVersions)
    .where(eq(policyVersions.tenantId, tenantId))
    .orderBy(desc(policyVersions.version))
    .limit(1)
  return row?.version ?? 0
}

/** Rules of one moment keep their order: they are listed by their ids. */
function rowsOf(tenantId: string, fresh: readonly NewRule[], at: Date): (typeof rules.$inferInsert)[] {
  const ids = fresh.map(() => newId('rule', at.getTime())).sort()
  return fresh.map((rule, i) => ({ ...toRow(tenantId, rule, at), id: ids[i] }))
}

const toRow = (tenantId: string, rule: NewRule, at: Date): typeof rules.$inferInsert => ({
  ...rule,
  metadata: { ...rule.metadata },
  id: newId('rule', at.getTime()),
  tenantId,
  createdAt: at,
  updatedAt: at,
})

/** The rule alone, as policies and versions keep it. */
export const toRule = ({ id, name, condition, action, priority, mode, reversible, active, preset, metadata }: RuleRow): Rule => ({
  id,
  name,
  condition,
  action,
  priority,
  mode,
  reversible,
  active,
  preset,
  metadata,
})

export interface Policies {
  /**
   * The policy in force, at once when it is loaded; undefined when the tenant has none. Throws Failure('unavailable') when it cannot be read and no older
   * one is at hand, or when it makes no policy: then the calls it should judge are refused. With a variant the same version under its terms, which is
   * compiled when it is first asked for.
   */
  of(tenantId: string, variant?: Variant | null): Policy | undefined | Promise<Policy | undefined>
  /**
   * Reads a tenant's policy again, if it is in memory; until that has happened the old one holds. The promise never rejects. Null marks every tenant's,
   * each to be read when it is next used. Call it for changes of kind 'policies'.
   */
  forget(tenantId: string | null): Promise<void>
}

export interface PoliciesOptions {
  db: Db
  /** Milliseconds since 1970. */
  now: () => number
  /** Is told of a policy that cannot be read again while the old one holds. */
  report(error: unknown, tenantId: string): void
  /** The key of a tenant's reversible placeholders; asked for only where a rule needs it. */
  redactionKey(tenantId: string): Promise<Buffer>
}

const POLICIES_MAX = 5_000
const QUERY_MS = 5_000
const RETRY_MS = 1_000

interface Loaded {
  /** A Failure is kept where the stored rules make no policy: an older policy must not judge in their place. */
  policy: Policy | Failure
  stale: boolean
  retryAt: number
}

export function createPolicies({ db, now, report, redactionKey }: PoliciesOptions): Policies {
  const loaded = new Map<string, Loaded>()
  const loads = new Map<string, Promise<Policy | undefined>>()
  /** They go with their policy. */
  const variantsOf = new WeakMap<Policy, Variants>()
  const under = (variant: Variant, policy: Policy | undefined): Policy | undefined => policy && (variantsOf.get(policy)?.(variant) ?? policy)

  return {
    of(tenantId, variant = null) {
      const policy = plain(tenantId)
      if (variant === null) return policy
      return policy instanceof Promise ? policy.then((loaded) => under(variant, loaded)) : under(variant, policy)
    },

    async forget(tenantId) {
      if (tenantId === null) {
        for (const known of loaded.values()) known.stale = true
        loads.clear()
        return
      }
      const known = loaded.get(tenantId)
      loads.delete(tenantId) // it may have read what was true before the change
      if (known === undefined) return
      known.stale = true
      await load(tenantId).catch((error: unknown) => report(error, tenantId))
    },
  }

  function plain(tenantId: string): Policy | undefined | Promise<Policy | undefined> {
    const known = loaded.get(tenantId)
    if (known === undefined) return loads.get(tenantId) ?? load(tenantId)
    if ((known.stale || known.policy instanceof Failure) && now() >= known.retryAt && !loads.has(tenantId)) {
      known.retryAt = now() + RETRY_MS
      void load(tenantId).catch((error: unknown) => report(error, tenantId))
    }
    if (known.policy instanceof Failure) throw known.policy
    return known.policy
  }

  function load(tenantId: string): Promise<Policy | undefined> {
    const mine = (): boolean => loads.get(tenantId) === run
    const run: Promise<Policy | undefined> = read(tenantId).then(
      (policy) => {
        if (mine()) {
          loads.delete(tenantId)
          keep(tenantId, policy)
        }
        if (policy instanceof Failure) throw policy
        return policy
      },
      (error: unknown) => {
        if (mine()) loads.delete(tenantId)
        throw error instanceof Failure ? error : new Failure('unavailable', error)
      },
    )
    loads.set(tenantId, run)
    return run
  }

  async function read(tenantId: string): Promise<Policy | Failure | undefined> {
    const newest = await within(QUERY_MS, findVersion(db, tenantId))
    if (newest === undefined) return undefined
    const policy = compiled(newest)
    if (policy instanceof Failure) return policy
    if (policy.rules.some(({ reversible }) => reversible)) policy.redactionKey = await redactionKey(tenantId) // verdicts name this very policy
    variantsOf.set(policy, createVariants(policy, newest))
    return policy
  }

  function compiled({ version, rules, dictionaries }: PolicyVersion): Policy | Failure {
    try {
      return compile(version, rules, dictionaries)
    } catch (error) {
      return new Failure('unavailable', error)
    }
  }

  function keep(tenantId: string, policy: Policy | Failure | undefined): void {
    loaded.delete(tenantId)
    if (policy === undefined) return
    if (loaded.size >= POLICIES_MAX) for (const oldest of loaded.keys()) if (loaded.delete(oldest)) break
    loaded.set(tenantId, { policy, stale: false, retryAt: now() + RETRY_MS })
  }
}
