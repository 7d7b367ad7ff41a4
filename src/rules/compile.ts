/** The policy compiler: many rules, one matcher per kind. */
import { Failure } from '../errors.ts'
import { type RuleBudget, withoutBudget } from './budget.ts'
import { checkPolicy, checkStored } from './check-rule.ts'
import { bySeverity, compileConditions, textLeavesOf } from './compile-conditions.ts'
import { findingOf, needsFinding } from './evaluate.ts'
import { leavesOf, readingOf } from './leaves.ts'
import { merge, type Span } from './matching/match.ts'
import type { Finding, Policy, Verdict } from './policy.ts'
import { compileReplyRules } from './replies/compile-reply.ts'
import { type Dictionaries, type Rule, severity } from './rule.ts'
import { compileSearch, type Hits } from './search/search.ts'
import { searchInTurns } from './search/search-in-turns.ts'
import type { Subject } from './targets.ts'

export type { Finding, Policy, ReplyRules, Verdict } from './policy.ts'

/**
 * Compiles and warms a policy; it takes milliseconds, and for a thousand patterns or a megabyte of terms a good part of a second, so it is done when
 * rules change, never for a call. Rules come from the store, where another version of Earthflow may have written them: throws a RuleError where one is not a rule this version
 * knows how to keep, where together they are more than a policy may hold, or where preparing their patterns takes more than the budget.
 */
export function compile(version: number, rules: readonly Rule[], dictionaries: Dictionaries = {}, budget: RuleBudget = withoutBudget()): Policy {
  const names = new Set(Object.keys(dictionaries))
  for (const rule of rules) checkStored(rule, names)
  checkPolicy(rules, dictionaries)
  const active = rules.filter((rule) => rule.active).toSorted(byPrecedence)
  const onCall = active.filter((rule) => !readsReply(rule))
  const onReply = active.filter(readsReply)
  const { nodes, leaves, textLeaves } = compileConditions(onCall, dictionaries, budget)
  const search = textLeaves.length > 0 ? compileSearch(textLeaves, budget) : null
  const asked = onCall.map((rule, i) => ({ rule, node: nodes[i], needsFinding: needsFinding(nodes[i]) }))
  // Without a finding only these can hold; a call in which nothing was found costs no more than they do.
  const talkative = asked.filter((one) => !one.needsFinding)
  const touchedBy = new Map<number, number>()
  asked.forEach(({ node }, i) => {
    for (const leaf of textLeavesOf(node)) touchedBy.set(leaf, i)
  })

  const replyRules = compileReplyRules(onReply, dictionaries, budget)

  const policy: Policy = {
    version,
    rules: active,
    leaves,
    redactionKey: null,
    isEmpty: onCall.length === 0,
    judge(subject) {
      refuseMany(subject)
      return conclude(subject, search?.(subject.call) ?? null)
    },
    judgeInTurns(subject, means) {
      refuseMany(subject)
      const hits = search && searchInTurns(search, subject.call, means)
      return hits instanceof Promise ? hits.then((found) => conclude(subject, found)) : conclude(subject, hits)
    },
  }
  return policy

  function conclude(subject: Subject, hits: Hits | null): Verdict {
    if (onCall.length === 0 || (hits === null && talkative.length === 0)) return nothing(subject)
    return decide(subject, hits ?? [])
  }

  function nothing(subject: Subject): Verdict {
    return { action: 'ALLOW', findings: [], redactions: [], rulesEvaluated: onCall.length, reply: replyRules(subject, 0), policy }
  }

  function decide(subject: Subject, hits: (readonly Span[] | undefined)[]): Verdict {
    const touched = new Set<number>()
    hits.forEach((_, leaf) => {
      touched.add(touchedBy.get(leaf) ?? -1)
    })
    const findings: Finding[] = []
    const cuts: Span[] = []
    let action: Verdict['action'] = 'ALLOW'
    let floor = 0 // an ALLOW rule of this priority held
    let rulesEvaluated = 0
    for (let i = 0; i < asked.length; i++) {
      const { rule, node } = asked[i]
      if (rule.priority < floor) break
      rulesEvaluated++
      if (asked[i].needsFinding && !touched.has(i)) continue
      const spans = findingOf(rule, node, hits, subject)
      if (!spans) continue
      findings.push({ rule, mode: rule.mode, spans })
      if (rule.mode === 'shadow') continue
      if (rule.action === 'ALLOW') floor = rule.priority
      if (rule.action === 'REDACT') for (const span of spans) cuts.push(span)
      if (severity[rule.action] > severity[action]) action = rule.action
    }
    return { action, findings, redactions: action === 'REDACT' ? merge(cuts) : [], rulesEvaluated, reply: replyRules(subject, floor), policy }
  }
}

/** Each is asked for by itself, by every rule. */
const MODELS_MAX = 64

function refuseMany({ call }: Subject): void {
  if (call.models.length > MODELS_MAX) throw new Failure('too_large', new Error(`The call names more than ${MODELS_MAX} models.`))
}

/** From high priority to low; at equal priority the more severe first, and so ALLOW last; then by id. */
const byPrecedence = (a: Rule, b: Rule): number => b.priority - a.priority || bySeverity(a, b)

const readsReply = (rule: Rule): boolean => leavesOf(rule.condition).some(({ leaf }) => readingOf(leaf).reads === 'reply')
