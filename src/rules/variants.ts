/** The same version of a policy under other terms: what a rule does changes, never what it finds. */
import { Failure } from '../errors.ts'
import { compile } from './compile.ts'
import { alwaysFinds } from './leaves.ts'
import type { Policy } from './policy.ts'
import type { Dictionaries, Rule } from './rule.ts'

export interface Variant {
  /** A WARN rule cuts, where it could have been written as a REDACT rule: one that asks who, how long or how many finds nothing to cut, and warns. */
  warnRedacts: boolean
  /** No placeholder has a way back. */
  irreversible: boolean
}

/** The policy under a variant. Throws Failure('unavailable') where that makes no policy. */
export type Variants = (variant: Variant) => Policy

/** Makes each variant once, when it is first asked for; the policy itself where nothing in it changes. */
export function createVariants(plain: Policy, { version, dictionaries }: { version: number; dictionaries: Dictionaries }): Variants {
  const made = new Map<string, Policy | Failure>()
  return (variant) => {
    const { warnRedacts, irreversible } = variant
    if (!warnRedacts && !irreversible) return plain
    const name = `${warnRedacts} ${irreversible}`
    let policy = made.get(name)
    if (policy === undefined) made.set(name, (policy = make(variant)))
    if (policy instanceof Failure) throw policy
    return policy
  }

  function make(variant: Variant): Policy | Failure {
    const rules = plain.rules.map((rule) => underTerms(rule, variant))
    if (rules.every((rule, i) => rule === plain.rules[i])) return plain
    try {
      return Object.assign(compile(version, rules, dictionaries), { redactionKey: variant.irreversible ? null : plain.redactionKey })
    } catch (error) {
      return new Failure('unavailable', error)
    }
  }
}

/** The very rule where nothing in it changes. */
function underTerms(rule: Rule, { warnRedacts, irreversible }: Variant): Rule {
  if (warnRedacts && rule.action === 'WARN' && alwaysFinds(rule.condition)) return { ...rule, action: 'REDACT' }
  return irreversible && rule.reversible ? { ...rule, reversible: false } : rule
}
