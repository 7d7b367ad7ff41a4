import type { Matcher, Span } from './match.ts'
import type { Action, Rule } from './rule.ts'
import type { Subject } from './targets.ts'

/** A rule whose condition held. A shadow rule's finding is recorded and has no effect. */
export interface Finding {
  rule: Rule
  mode: Rule['mode']
  /** Where in the flat text of the call, in order and without overlaps; empty where the condition asks only who, where, or what is absent. */
  spans: readonly Span[]
}

export interface Verdict {
  action: Action
  findings: readonly Finding[]
  /** What must be cut when the action is REDACT, in order and without overlaps; otherwise empty. */
  redactions: readonly Span[]
  rulesEvaluated: number
  /** What this call's reply must be watched for; null where it can flow as it is. */
  reply: ReplyRules | null
  policy: Policy
}

/** A leaf of a rule that reads texts: which rule it speaks for, and what stands for its findings where they are cut. */
export interface PolicyLeaf {
  rule: Rule
  placeholder: string
}

/** What must be watched in the reply to one call. */
export interface ReplyRules {
  matcher: Matcher
  /** By the leaf that the matcher's findings name. Where findings overlap, the lowest leaf speaks for all: the most severe rules come first. */
  leaves: readonly PolicyLeaf[]
  /** A finding may do something to the reply; otherwise findings are only counted. */
  stopsOrCuts: boolean
}

/** Whether a finding of this rule does something to a reply. */
export const stopsOrCuts = (rule: Rule): boolean => rule.mode === 'enforce' && rule.action !== 'WARN' && rule.action !== 'ALLOW'

/** A tenant's rules, compiled once when they change. */
export interface Policy {
  version: number
  /** The active rules, in the order in which they are judged. */
  rules: readonly Rule[]
  /** By the leaf that the spans of a verdict name. */
  leaves: readonly PolicyLeaf[]
  /** No rule reads calls: every verdict is ALLOW. */
  isEmpty: boolean
  /** Pure and synchronous. The same call gets the same verdict however the rules are stored. */
  judge(subject: Subject): Verdict
}
