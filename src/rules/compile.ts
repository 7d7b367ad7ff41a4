/** The policy compiler: many rules, one matcher per kind. */
import { type RuleBudget, withoutBudget } from './budget.ts'
import { checkPolicy, checkStored, leavesOf, operandOf, readingOf } from './check-rule.ts'
import { holds, isQuiet, type Node, spansOf } from './evaluate.ts'
import { merge, type Span } from './match.ts'
import type { Operand } from './operators.ts'
import { placeholderFor } from './placeholder.ts'
import { type Finding, type Policy, type PolicyLeaf, type ReplyRules, stopsOrCuts, type Verdict } from './policy.ts'
import { type Condition, type Rule, severity } from './rule.ts'
import { compileMatcher, compileSearch, type TextLeaf } from './search.ts'
import type { Subject } from './targets.ts'

export type { Finding, Policy, ReplyRules, Verdict } from './policy.ts'

/**
 * Compiles and warms a policy; it takes milliseconds, and for a thousand patterns a good part of a second, so it is done when rules change, never for a
 * call. Rules come from the store, where another version of Earthflow may have written them: throws a RuleError where one is not a rule this version
 * knows how to keep, where together they are more than a policy may hold, or where preparing their patterns takes more than the budget.
 */
export function compile(version: number, rules: readonly Rule[], budget: RuleBudget = withoutBudget()): Policy {
  for (const rule of rules) checkStored(rule)
  checkPolicy(rules)
  const active = rules.filter((rule) => rule.active).toSorted(byPrecedence)
  const onCall = active.filter((rule) => !readsReply(rule))
  const onReply = active.filter(readsReply)
  const { nodes, leaves, textLeaves } = compileConditions(onCall, budget)
  const search = textLeaves.length > 0 ? compileSearch(textLeaves, budget) : null
  const asked = onCall.map((rule, i) => ({ rule, node: nodes[i], quiet: isQuiet(nodes[i]) }))
  // Without a finding only these can hold; a call in which nothing was found costs no more than they do.
  const talkative = asked.filter(({ quiet }) => !quiet)
  const touchedBy = new Map<number, number>()
  asked.forEach(({ node }, i) => {
    for (const leaf of textLeavesOf(node)) touchedBy.set(leaf, i)
  })

  const replyRules = compileReplyRules(onReply, budget)

  const policy: Policy = {
    version,
    rules: active,
    leaves,
    isEmpty: onCall.length === 0,
    judge(subject) {
      if (onCall.length === 0) return nothing(subject)
      const hits = search?.(subject.call) ?? null
      if (hits === null && talkative.length === 0) return nothing(subject)
      return decide(subject, hits ?? [])
    },
  }
  return policy

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
      const { rule, node, quiet } = asked[i]
      if (rule.priority < floor) break
      rulesEvaluated++
      if (quiet && !touched.has(i)) continue
      if (!holds(node, hits, subject)) continue
      const spans = merge(spansOf(node, hits, subject))
      findings.push({ rule, mode: rule.mode, spans })
      if (rule.mode === 'shadow') continue
      if (rule.action === 'ALLOW') floor = rule.priority
      if (rule.action === 'REDACT') for (const span of spans) cuts.push(span)
      if (severity[rule.action] > severity[action]) action = rule.action
    }
    return { action, findings, redactions: action === 'REDACT' ? merge(cuts) : [], rulesEvaluated, reply: replyRules(subject, floor), policy }
  }
}

/** From high priority to low; at equal priority the more severe first, and so ALLOW last; then by id. */
const byPrecedence = (a: Rule, b: Rule): number => b.priority - a.priority || bySeverity(a, b)
const bySeverity = (a: Rule, b: Rule): number => severity[b.action] - severity[a.action] || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

const readsReply = (rule: Rule): boolean => leavesOf(rule.condition).some(({ leaf }) => readingOf(leaf).reads === 'reply')

interface Compiled {
  /** By rule. */
  nodes: readonly Node[]
  leaves: readonly PolicyLeaf[]
  textLeaves: readonly TextLeaf[]
}

function compileConditions(rules: readonly Rule[], budget: RuleBudget): Compiled {
  const leaves: PolicyLeaf[] = []
  const textLeaves: TextLeaf[] = []
  const build = (condition: Condition, rule: Rule): Node => {
    if ('all' in condition) return { kind: 'all', nodes: condition.all.map((part) => build(part, rule)) }
    if ('any' in condition) return { kind: 'any', nodes: condition.any.map((part) => build(part, rule)) }
    if ('not' in condition) return { kind: 'not', node: build(condition.not, rule) }
    const reading = readingOf(condition)
    const questions = split(operandOf(condition, rule.id))
    const nodes = questions.map((operand): Node => {
      if (reading.reads === 'field') return { kind: 'field', holds: fieldTest(operand, { of: reading.of, budget }) }
      leaves.push({ rule, placeholder: placeholderFor(operand.kind === 'detector' ? operand.name : undefined) })
      textLeaves.push({ operand, role: reading.reads === 'call' ? reading.role : null, cuts: rule.action === 'REDACT' })
      return { kind: 'text', leaf: leaves.length - 1 }
    })
    return nodes.length === 1 ? nodes[0] : { kind: 'any', nodes }
  }
  return { nodes: rules.map((rule) => build(rule.condition, rule)), leaves, textLeaves }
}

const split = (operand: Operand): TextLeaf['operand'][] => (operand.kind === 'detector' ? operand.names.map((name) => ({ kind: 'detector', name })) : [operand])

/** A field is a text of its own, searched like any other. */
function fieldTest(operand: TextLeaf['operand'], { of, budget }: { of(subject: Subject): string; budget: RuleBudget }): (subject: Subject) => boolean {
  const search = compileSearch([{ operand, role: null, cuts: false }], budget)
  return (subject) => {
    const text = Buffer.from(of(subject))
    const { length } = text
    return search({ slots: [{ role: 'other', start: 0, end: length, escaped: false, from: 0, to: length }], text, promptEnd: length, opaqueBytes: 0 }) !== null
  }
}

function textLeavesOf(node: Node): number[] {
  if (node.kind === 'text') return [node.leaf]
  if (node.kind === 'all' || node.kind === 'any') return node.nodes.flatMap(textLeavesOf)
  return node.kind === 'not' ? textLeavesOf(node.node) : []
}

/**
 * Rules that read replies. Their conditions were checked to need one finding and beside it only what is known before the reply begins, so for each
 * call some leaves are live and each finding of a live one stands for its rule. An ALLOW rule that held for the call holds for its reply: rules of a
 * priority below its, the floor, are not asked.
 */
function compileReplyRules(rules: readonly Rule[], budget: RuleBudget): (subject: Subject, floor: number) => ReplyRules | null {
  const ordered = rules.toSorted((a, b) => bySeverity(a, b) || b.priority - a.priority)
  const { nodes, leaves, textLeaves } = compileConditions(ordered, budget)
  const matcher = compileMatcher(textLeaves)
  if (!matcher) return () => null
  const all: ReplyRules = { matcher, leaves, stopsOrCuts: ordered.some(stopsOrCuts) }
  const lowest = Math.min(...ordered.map((rule) => rule.priority))
  const isPlain = nodes.every(isQuiet)

  return (subject, floor) => {
    if (isPlain && floor <= lowest) return all
    const live = new Set(ordered.flatMap((rule, i) => (rule.priority < floor ? [] : liveLeaves(nodes[i], subject))))
    if (live.size === 0) return null
    return {
      leaves,
      stopsOrCuts: Array.from(live, (leaf) => leaves[leaf].rule).some(stopsOrCuts),
      matcher: (report) =>
        matcher((start, end, leaf) => {
          if (live.has(leaf)) report(start, end, leaf)
        }),
    }
  }
}

/** The leaves whose finding makes the condition hold, given who and where. */
function liveLeaves(node: Node, subject: Subject): number[] {
  switch (node.kind) {
    case 'text':
      return [node.leaf]
    case 'any':
      return node.nodes.flatMap((child) => liveLeaves(child, subject))
    case 'all': {
      const known = node.nodes.filter((child) => textLeavesOf(child).length === 0)
      if (!known.every((child) => holds(child, [], subject))) return []
      return node.nodes.filter((child) => !known.includes(child)).flatMap((child) => liveLeaves(child, subject))
    }
    case 'field':
    case 'not':
      return []
    default:
      return node satisfies never
  }
}
