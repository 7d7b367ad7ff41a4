/** Conditions, once their leaves have been looked for. */
import { merge, type Span } from './matching/match.ts'
import type { Rule } from './rule.ts'
import type { Hits } from './search/search.ts'
import { eachModel, type Subject } from './targets.ts'

export type Node =
  /** A question about texts: whether its leaf was found. */
  | { kind: 'text'; leaf: number }
  /** A question about who and where. */
  | { kind: 'field'; holds(subject: Subject): boolean }
  | { kind: 'all' | 'any'; nodes: readonly Node[] }
  | { kind: 'not'; node: Node }

export function holds(node: Node, hits: Hits, subject: Subject): boolean {
  switch (node.kind) {
    case 'text':
      return hits[node.leaf] !== undefined
    case 'field':
      return node.holds(subject)
    case 'all':
      return node.nodes.every((child) => holds(child, hits, subject))
    case 'any':
      return node.nodes.some((child) => holds(child, hits, subject))
    case 'not':
      return !holds(node.node, hits, subject)
    default:
      return node satisfies never
  }
}

/**
 * Where the condition of a rule holds, in order and without overlaps; null where it does not hold. A call that names several models is asked for each
 * by itself, so that none hides behind another: a rule holds where it does for one of them, and an ALLOW rule where it does for all.
 */
export function findingOf(rule: Rule, node: Node, hits: Hits, subject: Subject): Span[] | null {
  const subjects = eachModel(subject)
  const held = subjects.filter((one) => holds(node, hits, one))
  if (held.length === 0 || (rule.action === 'ALLOW' && held.length < subjects.length)) return null
  return merge(held.flatMap((one) => spansOf(node, hits, one)))
}

/** Where a condition that holds was found: the findings of every part that holds. What stands under a `not` has none. */
function spansOf(node: Node, hits: Hits, subject: Subject, into: Span[] = []): Span[] {
  if (node.kind === 'text') for (const span of hits[node.leaf] ?? []) into.push(span)
  if (node.kind === 'all' || node.kind === 'any') for (const child of node.nodes) if (holds(child, hits, subject)) spansOf(child, hits, subject, into)
  return into
}

/** Whether nothing found means that it does not hold: no field and no `not` in it. */
export function isQuiet(node: Node): boolean {
  if (node.kind === 'all' || node.kind === 'any') return node.nodes.every(isQuiet)
  return node.kind === 'text'
}

/** Whether it cannot hold unless something is found, whoever asks and wherever. */
export function needsFinding(node: Node): boolean {
  if (node.kind === 'all') return node.nodes.some(needsFinding)
  if (node.kind === 'any') return node.nodes.every(needsFinding)
  return node.kind === 'text'
}
