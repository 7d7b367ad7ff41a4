/** What differs between two rules, and between two policies. */
import { isDeepStrictEqual } from 'node:util'
import type { Dictionaries, Rule } from './rule.ts'

/** A member that differs, by its JSON pointer (RFC 6901). `from` or `to` is left out where there is no such member. */
export interface MemberChange {
  path: string
  from?: unknown
  to?: unknown
}

export interface PolicyChange {
  added: { rule_id: string; name: string }[]
  removed: { rule_id: string; name: string }[]
  changed: { rule_id: string; name: string; diff: MemberChange[] }[]
  dictionaries: { added: string[]; removed: string[]; changed: { name: string; terms_added: number; terms_removed: number; case_sensitive: boolean }[] }
}

export interface PolicyContent {
  rules: readonly Rule[]
  dictionaries: Dictionaries
}

/** Objects member by member, lists item by item. Conditions are bounded in depth, and metadata by the reader of bodies. */
export function differenceOf(before: unknown, after: unknown, path = ''): MemberChange[] {
  // The database keeps no -0, which is not strictly equal to 0.
  if (before === after || isDeepStrictEqual(before, after)) return []
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) return [{ path, from: before, to: after }]
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].flatMap((name): MemberChange[] => {
    const place = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (!Object.hasOwn(before, name)) return [{ path: place, to: after[name] }]
    if (!Object.hasOwn(after, name)) return [{ path: place, from: before[name] }]
    return differenceOf(before[name], after[name], place)
  })
}

/** Between two rules, whatever their ids. */
export function ruleDifference(before: Omit<Rule, 'id'>, after: Omit<Rule, 'id'>): MemberChange[] {
  return differenceOf(membersOf(before), membersOf(after))
}

const membersOf = ({ name, condition, action, priority, mode, reversible, active, preset, metadata }: Omit<Rule, 'id'>): object => ({
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

/** What makes the second policy of the first. Rules are known by their ids. */
export function policyDifference(before: PolicyContent, after: PolicyContent): PolicyChange {
  const old = new Map(before.rules.map((rule) => [rule.id, rule]))
  const fresh = new Map(after.rules.map((rule) => [rule.id, rule]))
  const title = ({ id, name }: Rule): { rule_id: string; name: string } => ({ rule_id: id, name })
  return {
    added: after.rules.filter(({ id }) => !old.has(id)).map(title),
    removed: before.rules.filter(({ id }) => !fresh.has(id)).map(title),
    changed: after.rules.flatMap((rule) => {
      const was = old.get(rule.id)
      const diff = was ? ruleDifference(was, rule) : []
      return diff.length === 0 ? [] : [{ ...title(rule), diff }]
    }),
    dictionaries: dictionaryDifference(before.dictionaries, after.dictionaries),
  }
}

function dictionaryDifference(before: Dictionaries, after: Dictionaries): PolicyChange['dictionaries'] {
  return {
    added: Object.keys(after).filter((name) => !Object.hasOwn(before, name)),
    removed: Object.keys(before).filter((name) => !Object.hasOwn(after, name)),
    changed: Object.entries(after).flatMap(([name, { terms, case_sensitive }]) => {
      if (!Object.hasOwn(before, name)) return []
      const was = before[name]
      const [old, fresh] = [new Set(was.terms), new Set(terms)]
      const terms_added = terms.filter((term) => !old.has(term)).length
      const terms_removed = was.terms.filter((term) => !fresh.has(term)).length
      const isSame = terms_added === 0 && terms_removed === 0 && was.case_sensitive === case_sensitive
      return isSame ? [] : [{ name, terms_added, terms_removed, case_sensitive }]
    }),
  }
}

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
