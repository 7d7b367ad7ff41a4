/** A tenant's dictionaries: lists of words and phrases that rules look for by name. They change through `writeRules`, because the policy changes with them. */
import type { Db, Tx } from '../db/connect.ts'
import { and, asc, count, eq, sql } from '../db/drizzle.ts'
import { dictionaries } from '../db/schema.ts'
import { detectorNamed } from './detectors.ts'
import { leavesOf } from './leaves.ts'
import { PHRASE_BYTES_MAX } from './operators.ts'
import type { Dictionaries, Dictionary, Rule } from './rule.ts'
import { RuleError } from './rule-error.ts'

export const TERMS_PER_DICTIONARY_MAX = 10_000
export const DICTIONARIES_PER_TENANT_MAX = 100
/** All terms of a tenant together: every version of its policy keeps them. */
export const DICTIONARY_BYTES_PER_TENANT_MAX = 1 << 20
const NAME = /^(?!__proto__$)[a-z0-9_-]{1,64}$/

/** What is told of a dictionary without its terms. */
export interface DictionaryRow {
  tenantId: string
  name: string
  terms: number
  caseSensitive: boolean
  createdAt: Date
  updatedAt: Date
}

/**
 * A dictionary as a client sent it; a term that is said twice is kept once. Throws a RuleError: `invalid_request` for a wrong shape, `config` for one
 * beyond the bounds or called like a detector, which a rule could then not name.
 */
export function checkDictionary(name: string, { terms, case_sensitive }: Dictionary, path = ''): Dictionary {
  const at = (member: string): string => (path === '' ? member : `${path}.${member}`)
  if (!NAME.test(name)) throw new RuleError('invalid_request', at('name'), 'A dictionary is named by 1 to 64 of the characters a-z, 0-9, _ and -.')
  if (detectorNamed(name)) throw new RuleError('config', at('name'), 'A detector has this name already.')
  const different = [...new Set(terms)]
  if (different.length === 0) throw new RuleError('invalid_request', at('terms'), 'A dictionary holds at least one term.')
  if (different.length > TERMS_PER_DICTIONARY_MAX) throw new RuleError('config', at('terms'), `A dictionary holds at most ${TERMS_PER_DICTIONARY_MAX} terms.`)
  terms.forEach((term, i) => {
    if (term.trim() === '' || !term.isWellFormed() || term.includes('\0'))
      throw new RuleError('invalid_request', at(`terms.${i}`), 'A term must hold more than blanks, and be valid Unicode without U+0000.')
    if (Buffer.byteLength(term) > PHRASE_BYTES_MAX) throw new RuleError('config', at(`terms.${i}`), `A term is at most ${PHRASE_BYTES_MAX} bytes long.`)
  })
  return { terms: different, case_sensitive }
}

/** Refuses what is too much for one tenant. Throws a RuleError of reason `config`. */
export function checkDictionaries(all: Dictionaries): void {
  const lists = Object.values(all)
  if (lists.length > DICTIONARIES_PER_TENANT_MAX)
    throw new RuleError('config', 'dictionaries', `A tenant has at most ${DICTIONARIES_PER_TENANT_MAX} dictionaries.`)
  const bytes = lists.reduce((sum, { terms }) => terms.reduce((inner, term) => inner + Buffer.byteLength(term), sum), 0)
  if (bytes > DICTIONARY_BYTES_PER_TENANT_MAX)
    throw new RuleError('config', 'dictionaries', `All dictionaries of a tenant together hold at most ${DICTIONARY_BYTES_PER_TENANT_MAX} bytes of terms.`)
}

/** Which of these rules look for a dictionary by this name. */
export const rulesUsing = <R extends Pick<Rule, 'condition'>>(name: string, rules: readonly R[]): R[] =>
  rules.filter(({ condition }) => leavesOf(condition).some(({ leaf }) => leaf.operator === 'detects' && [leaf.value].flat().includes(name)))

/** By name; the terms are left out. `tenantId` null is for the administrator and means every tenant. */
export async function listDictionaries(
  db: Db | Tx,
  tenantId: string | null,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: DictionaryRow[]; total: number }> {
  const mine = tenantId === null ? undefined : eq(dictionaries.tenantId, tenantId)
  const [counted] = await db.select({ total: count() }).from(dictionaries).where(mine)
  const { tenantId: owner, name, caseSensitive, createdAt, updatedAt } = dictionaries
  const terms = sql<number>`jsonb_array_length(${dictionaries.terms})`
  const rows = await db
    .select({ tenantId: owner, name, terms, caseSensitive, createdAt, updatedAt })
    .from(dictionaries)
    .where(mine)
    .orderBy(asc(name), asc(owner))
    .limit(limit)
    .offset(offset)
  return { rows, total: counted.total }
}

export async function findDictionary(db: Db | Tx, tenantId: string, name: string): Promise<typeof dictionaries.$inferSelect | undefined> {
  const [row] = await db
    .select()
    .from(dictionaries)
    .where(and(eq(dictionaries.tenantId, tenantId), eq(dictionaries.name, name)))
    .limit(1)
  return row
}

/** All of a tenant's, by name. */
export async function dictionariesOf(db: Db | Tx, tenantId: string): Promise<Dictionaries> {
  const rows = await db.select().from(dictionaries).where(eq(dictionaries.tenantId, tenantId)).orderBy(asc(dictionaries.name))
  return Object.fromEntries(rows.map(({ name, terms, caseSensitive }) => [name, { terms, case_sensitive: caseSensitive }]))
}

/** For `writeRules`, which makes a version of what follows. */
export async function putDictionary(tx: Tx, tenantId: string, name: string, { terms, case_sensitive }: Dictionary, at: Date): Promise<void> {
  const fields = { terms: [...terms], caseSensitive: case_sensitive, updatedAt: at }
  await tx
    .insert(dictionaries)
    .values({ tenantId, name, ...fields, createdAt: at })
    .onConflictDoUpdate({ target: [dictionaries.tenantId, dictionaries.name], set: fields })
}

/** For `writeRules`. False: there was none. */
export async function removeDictionary(tx: Tx, tenantId: string, name: string): Promise<boolean> {
  const gone = await tx
    .delete(dictionaries)
    .where(and(eq(dictionaries.tenantId, tenantId), eq(dictionaries.name, name)))
    .returning({ name: dictionaries.name })
  return gone.length > 0
}

/** The same of several by name. Throws a RuleError that names the first that is none. */
export const checkedDictionaries = (given: Dictionaries): Dictionaries =>
  Object.fromEntries(Object.entries(given).map(([name, one]) => [name, checkDictionary(name, one, `dictionaries.${name}`)]))
