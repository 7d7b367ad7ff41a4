/** The part of the policy compiler for rules that read replies. */
import type { Texts } from '../../call.ts'
import type { RuleBudget } from '../budget.ts'
import { bySeverity, type Compiled, compileConditions, textLeavesOf } from '../compile-conditions.ts'
import { findingOf, holds, isQuiet, type Node } from '../evaluate.ts'
import { leavesOf, readingOf } from '../leaves.ts'
import { compileMatcher } from '../matching/compile-matcher.ts'
import { operators } from '../operators.ts'
import { type ReplyFound, type ReplyLeaf, type ReplyRules, stopsOrCuts } from '../policy.ts'
import type { Condition, Dictionaries, Rule } from '../rule.ts'
import { compileSearch } from '../search/search.ts'
import { eachModel, type Subject } from '../targets.ts'

/**
 * Rules that read replies, for the subject of a call and the floor it left: an ALLOW rule that held for the call holds for its reply, and rules of a
 * priority below its are not asked. Null where none of them can hold. Rules that one finding decides watch the reply as it passes: for each call some
 * of their leaves are live, and each finding of a live one stands for its rule. The others are judged like a call, by the same evaluator, once the
 * whole reply is there.
 */
export function compileReplyRules(
  rules: readonly Rule[],
  dictionaries: Dictionaries,
  budget: RuleBudget,
): (subject: Subject, floor: number) => ReplyRules | null {
  const ordered = rules.toSorted((a, b) => bySeverity(a, b) || b.priority - a.priority)
  const passing = ordered.filter(({ condition }) => isDecidedInPassing(condition))
  const whole = ordered.filter(({ condition }) => !isDecidedInPassing(condition))
  const watched = compileConditions(passing, dictionaries, budget)
  const judged = compileConditions(whole, dictionaries, budget)
  const matcher = compileMatcher(watched.textLeaves, 'passing')
  const search = judged.textLeaves.length > 0 ? compileSearch(judged.textLeaves, budget, 'reply_unreadable') : null
  const leaves = [...replyLeaves(watched), ...replyLeaves(judged)]
  const lowest = Math.min(...passing.map((rule) => rule.priority))
  const isPlain = watched.nodes.every(isQuiet)
  const everyLeaf = new Set(leaves.keys())

  if (matcher === null && whole.length === 0) return () => null
  return (subject, floor) => {
    const live =
      isPlain && floor <= lowest
        ? everyLeaf
        : new Set(passing.flatMap((rule, i) => (rule.priority < floor ? [] : eachModel(subject).flatMap((one) => liveLeaves(watched.nodes[i], one)))))
    const asked = whole
      .map((rule, i) => ({ rule, node: judged.nodes[i] }))
      .filter(({ rule, node }) => rule.priority >= floor && eachModel(subject).some((one) => foreseen(node, one) !== false))
    const watches = matcher !== null && live.size > 0
    if (!watches && asked.length === 0) return null
    return {
      matcher: !watches ? null : live === everyLeaf ? matcher : (report) => matcher((start, end, leaf) => live.has(leaf) && report(start, end, leaf)),
      leaves,
      judgeWhole: asked.length > 0 ? (reply) => judgeWhole(reply, asked, subject) : null,
      holdsAll: asked.some(({ rule }) => stopsOrCuts(rule)),
      stopsOrCuts: [...asked, ...(watches ? watched.leaves.filter((_, leaf) => live.has(leaf)) : [])].some(({ rule }) => stopsOrCuts(rule)),
    }
  }

  function judgeWhole(reply: Texts, asked: readonly { rule: Rule; node: Node }[], subject: Subject): ReplyFound[] {
    const hits = search?.(reply) ?? []
    return asked.flatMap(({ rule, node }) => {
      const spans = findingOf(rule, node, hits, subject)
      if (!spans) return []
      return [{ rule, spans: spans.map((span) => ({ ...span, leaf: span.leaf + watched.leaves.length })) }]
    })
  }
}

const replyLeaves = ({ leaves, textLeaves }: Compiled): ReplyLeaf[] => leaves.map((leaf, i) => ({ ...leaf, role: textLeaves[i].role }))

/**
 * Whether one finding makes the condition hold, given who and where: then a reply can be relayed while it is read, and only what may become a finding
 * waits. Any other condition (what is absent, several findings, a pattern, a whole text, a count) needs the reply to its end.
 */
function isDecidedInPassing(condition: Condition): boolean {
  if ('not' in condition) return false
  if ('any' in condition) return condition.any.every(isDecidedInPassing)
  if ('all' in condition) {
    const [only, ...more] = condition.all.filter(readsReply)
    return only !== undefined && more.length === 0 && isDecidedInPassing(only)
  }
  return readingOf(condition).reads === 'reply' && operators[condition.operator].streams
}

const readsReply = (part: Condition): boolean => leavesOf(part).some(({ leaf }) => readingOf(leaf).reads === 'reply')

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

/** What who and where say of a condition before there is a reply; undefined where its texts decide. */
function foreseen(node: Node, subject: Subject): boolean | undefined {
  switch (node.kind) {
    case 'text':
      return undefined
    case 'field':
      return node.holds(subject)
    case 'not': {
      const inner = foreseen(node.node, subject)
      return inner === undefined ? undefined : !inner
    }
    case 'all':
    case 'any': {
      const parts = node.nodes.map((child) => foreseen(child, subject))
      const decisive = node.kind === 'any'
      return parts.includes(decisive) ? decisive : parts.includes(undefined) ? undefined : !decisive
    }
    default:
      return node satisfies never
  }
}
