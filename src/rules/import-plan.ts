/** What an import would do to a tenant's rules and dictionaries. */
import type { RuleDraft } from './check-rule.ts'
import { type PolicyContent, policyDifference, ruleDifference } from './difference.ts'
import type { Dictionaries, Rule } from './rule.ts'

export interface ImportPlan {
  created: RuleDraft[]
  updated: { id: string; draft: RuleDraft }[]
  unchanged: number
  /** Ids. */
  deleted: string[]
  putDictionaries: Dictionaries
  removedDictionaries: string[]
  changesNothing: boolean
}

export interface Imported {
  rules: readonly { id: string | null; draft: RuleDraft }[]
  /** Null leaves them as they are. */
  dictionaries: Dictionaries | null
  /** `replace` removes what the import does not name. */
  mode: 'merge' | 'replace'
}

/**
 * A rule is known by its id where the tenant has one of that id, else by preset and name: of several the one that says the same, else the oldest that is
 * not taken yet.
 */
export function planImport({ rules, dictionaries, mode }: Imported, present: PolicyContent): ImportPlan {
  const byId = new Map(present.rules.map((rule) => [rule.id, rule]))
  const taken = new Set(rules.flatMap(({ id }) => (id !== null && byId.has(id) ? [id] : [])))
  const byName = Map.groupBy(
    present.rules.filter(({ id }) => !taken.has(id)),
    nameOf,
  )
  const plan: ImportPlan = {
    created: [],
    updated: [],
    unchanged: 0,
    deleted: [],
    ...dictionaryPlan(dictionaries, mode, present.dictionaries),
    changesNothing: false,
  }
  const isSame = (draft: RuleDraft) => (rule: Rule) => ruleDifference(rule, draft).length === 0
  const take = (draft: RuleDraft, fits: (rule: Rule) => boolean): Rule | undefined => {
    const candidates = byName.get(nameOf(draft)) ?? []
    const at = candidates.findIndex(fits)
    return at < 0 ? undefined : candidates.splice(at, 1)[0]
  }
  const known = rules.map(({ id, draft }) => (id === null ? undefined : byId.get(id)) ?? take(draft, isSame(draft)))
  for (const [i, { draft }] of rules.entries()) {
    const rule = known[i] ?? take(draft, () => true)
    if (!rule) plan.created.push(draft)
    else {
      taken.add(rule.id)
      if (isSame(draft)(rule)) plan.unchanged++
      else plan.updated.push({ id: rule.id, draft })
    }
  }
  if (mode === 'replace') plan.deleted = present.rules.map(({ id }) => id).filter((id) => !taken.has(id))
  const { created, updated, deleted, putDictionaries, removedDictionaries } = plan
  plan.changesNothing = [created, updated, deleted, Object.keys(putDictionaries), removedDictionaries].every(({ length }) => length === 0)
  return plan
}

const nameOf = ({ preset, name }: RuleDraft): string => JSON.stringify([preset, name])

function dictionaryPlan(
  given: Dictionaries | null,
  mode: Imported['mode'],
  present: Dictionaries,
): Pick<ImportPlan, 'putDictionaries' | 'removedDictionaries'> {
  const { added, removed, changed } = policyDifference({ rules: [], dictionaries: present }, { rules: [], dictionaries: given ?? present }).dictionaries
  const wanted = given ?? {}
  return {
    putDictionaries: Object.fromEntries([...added, ...changed.map(({ name }) => name)].map((name) => [name, wanted[name]])),
    removedDictionaries: mode === 'replace' ? removed : [],
  }
}
