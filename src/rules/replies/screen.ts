/**
 * Reads a reply on its way to the client and cuts what the rules found. A streamed event is either passed on byte for byte or held
 * until the texts in it are decided; text never moves from one event to another, so a reply in which nothing is found arrives as sent.
 * Only what tells the text once more (tokens with their probabilities) is withheld from every reply to which a rule may do something.
 */
import type { Tenant } from '../../call.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { Refusal } from '../../errors.ts'
import type { Wrap } from '../../sink.ts'
import { insert, merge, type Span } from '../matching/match.ts'
import { FINDINGS_MAX } from '../matching/search.ts'
import type { Originals } from '../placeholder.ts'
import { type ReplyRules, stopsOrCuts, type Verdict } from '../policy.ts'
import { canBeCut } from '../redact.ts'
import type { Rule } from '../rule.ts'
import { uninspectableRule } from '../uninspectable.ts'
import { type Judgement, noWatch, unreadable } from './judgement.ts'
import { ReplySink } from './reply-sink.ts'
import { restoring } from './restore.ts'

/** What a rule found in a reply: how often, never what. */
export interface ReplyFinding {
  rule: Rule
  count: number
}

/** What stands between an upstream and the client. */
export interface ReplyScreen {
  /**
   * The sink that judges. It throws a Refusal where a rule stops the reply, and a Failure('reply_unreadable') where the reply cannot be judged; nothing
   * of what was held then leaves.
   */
  wrap: Wrap
  /** What was found so far, by all rules that read replies, enforced or not. */
  findings(): ReplyFinding[]
  /** Bytes that no rule could read. Counted only where something is judged. */
  uninspectedBytes(): number
  /** The choices or content blocks that have begun downstream and not ended, in the order in which they began. */
  open(): readonly number[]
}

export interface ScreenOptions {
  /** Whose word about what cannot be inspected holds. */
  tenant: Tenant
  /** What stands for what in the call that left, if anything does. */
  originals?: Originals | null
}

/**
 * The screen for one reply; null where no rule reads it, the tenant lets pass what cannot be inspected, and nothing must be put back. What was cut from
 * the call is put back after the rules have read the reply.
 */
export function screenFor({ reply }: Verdict, dialect: Dialect, { tenant, originals = null }: ScreenOptions): ReplyScreen | null {
  const about = uninspectableRule(tenant)
  const judges = reply !== null || about?.action === 'BLOCK'
  if (!judges && originals === null) return null
  const counts = new Map<Rule, number>()
  const count = (rule: Rule, more: number): void => void counts.set(rule, (counts.get(rule) ?? 0) + more)
  let uninspectedBytes = 0
  let innermost: ReplySink | undefined

  const judgement: Judgement = {
    ...judgementOf(reply ?? NO_RULES, count),
    uninspected(bytes) {
      uninspectedBytes += bytes
    },
    media() {
      if (about) count(about, 1)
      if (about?.action === 'BLOCK') throw new Refusal('blocked_by_rule', 'The reply was stopped by policy: it carries what cannot be inspected.')
    },
  }
  return {
    wrap: (inner) => {
      const restored = originals ? (innermost = new ReplySink(dialect, restoring(originals), inner)) : inner
      if (!judges) return restored
      const judged = new ReplySink(dialect, judgement, restored)
      innermost ??= judged
      return judged
    },
    findings: () => Array.from(counts, ([rule, found]) => ({ rule, count: found })),
    uninspectedBytes: () => uninspectedBytes,
    open: () => innermost?.open() ?? [],
  }
}

const NO_RULES: ReplyRules = { matcher: null, leaves: [], judgeWhole: null, holdsAll: false, stopsOrCuts: false }

function judgementOf(reply: ReplyRules, count: (rule: Rule, more: number) => void): Omit<Judgement, 'uninspected' | 'media'> {
  const { matcher, leaves, judgeWhole } = reply
  let findings = 0
  return {
    isLenient: false,
    withholdsRepeats: reply.stopsOrCuts,
    holdsAll: reply.holdsAll,
    watch: (spans, roleNow) =>
      matcher?.((start, end, leaf) => {
        if (++findings > FINDINGS_MAX) throw unreadable(`The reply has more than ${FINDINGS_MAX} findings.`)
        const { rule, role } = leaves[leaf]
        if (role !== null && role !== roleNow()) return
        count(rule, 1)
        if (stopsOrCuts(rule)) insert(spans, start, end, leaf)
      }) ?? noWatch,
    whole:
      judgeWhole &&
      ((texts, isError) => {
        const found = judgeWhole(texts).filter(({ spans }) => spans.length > 0 || !isError)
        for (const { rule, spans } of found) count(rule, Math.max(1, spans.length))
        const cuts: Span[] = []
        for (const { rule, spans } of found) {
          if (!stopsOrCuts(rule)) continue
          if (rule.action !== 'REDACT') throw stoppedBy(rule)
          for (const span of spans) cuts.push(span)
        }
        return merge(cuts)
      }),
    placeholderIn:
      ({ role }) =>
      (span) => {
        const { rule, placeholder } = leaves[span.leaf]
        if (rule.action !== 'REDACT') throw stoppedBy(rule)
        if (canBeCut(role)) return placeholder
        throw new Refusal('cannot_redact', `The reply was stopped by policy: '${rule.name}'. What it redacts stands where a placeholder would break the reply.`)
      },
  }
}

const stoppedBy = (rule: Rule): Refusal => new Refusal('blocked_by_rule', `The reply was stopped by policy: '${rule.name}'.`)
