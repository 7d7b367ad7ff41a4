import type { Role, Texts } from '../call.ts'
import type { Matcher, Span } from './matching/match.ts'
import type { Action, Rule } from './rule.ts'
import type { SharedSearch } from './search/search-in-turns.ts'
import type { Waiting } from './search/turns.ts'
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
  /** Finds what one finding decides, while the reply passes; null where no such rule is live. */
  matcher: Matcher | null
  /** By the leaf that findings name. Where findings overlap, the lowest leaf speaks for all: the most severe rules come first. */
  leaves: readonly ReplyLeaf[]
  /** The live rules that only the whole reply decides, and that hold for these texts; null where there are none. */
  judgeWhole: ((reply: Texts) => readonly ReplyFound[]) | null
  /** One of those may do something to the reply, so that nothing of it leaves before its end. */
  holdsAll: boolean
  /** A finding may do something to the reply; otherwise findings are only counted. */
  stopsOrCuts: boolean
}

export interface ReplyLeaf extends PolicyLeaf {
  /** Which texts of the reply are meant; null is all. */
  role: Role | null
}

/** A rule that holds for a whole reply. */
export interface ReplyFound {
  rule: Rule
  /** In order and without overlaps; empty where the condition asks for what is absent. */
  spans: readonly Span[]
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
  /** The tenant's key for reversible placeholders. Whoever loads the policy sets it where a rule needs one; without it such a rule cuts for good. */
  redactionKey: Buffer | null
  /** No rule reads calls: every verdict is ALLOW. */
  isEmpty: boolean
  /** Pure and synchronous. The same call gets the same verdict however the rules are stored. */
  judge(subject: Subject): Verdict
  /**
   * The same verdict, at once or after some turns of the event loop, which it never holds for long. Throws, or rejects, where it cannot be had: a Failure
   * of reason `scan_budget` where the search takes too long, of `unavailable` where too many wait for one or nobody does.
   */
  judgeInTurns(subject: Subject, means: { shared: SharedSearch; waiting: Waiting | null }): Verdict | Promise<Verdict>
}
