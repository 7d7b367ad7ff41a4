/**
 * Reads a reply on its way to the client and cuts what the rules found. A streamed event is either passed on byte for byte or held
 * until the texts in it are decided; text never moves from one event to another, so a reply in which nothing is found arrives as sent.
 * Only what tells the text once more (tokens with their probabilities) is withheld from every reply to which a rule may do something.
 */
import type { Role, Tenant } from '../../call.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { Failure, Refusal } from '../../errors.ts'
import type { Wrap } from '../../sink.ts'
import { insert, merge, type Span, type Watch } from '../matching/match.ts'
import type { Originals } from '../placeholder.ts'
import { type ReplyRules, stopsOrCuts, type Verdict } from '../policy.ts'
import { canBeCut } from '../redact.ts'
import type { Rule } from '../rule.ts'
import { FINDINGS_MAX } from '../search/search.ts'
import { uninspectableRule } from '../uninspectable.ts'
import type { HeldBack } from './held-events.ts'
import { type Judgement, noWatch, unreadable } from './judgement.ts'
import { ReplySink } from './reply-sink.ts'
import { restoring } from './restore.ts'
import { Turns } from './turns.ts'

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
  /** How far the client's stream fell behind the provider's so far; null where no stream is judged. */
  held(): HeldBack | null
  /**
   * Resolves once a reply that was ended has been judged and handed on; rejects with what `wrap` says of the sink. Undefined where that is so already.
   */
  settled(): Promise<void> | undefined
}

export interface ScreenOptions {
  /** Whose word about what cannot be inspected holds. */
  tenant: Tenant
  /** What stands for what in the call that left, if anything does. */
  originals?: Originals | null
  /** Milliseconds, of a clock that only goes forward; what streams wait for is timed by it. */
  now?: () => number
  /**
   * Lets a long reply in one piece be judged in turns, as long as somebody wants it: then the sink's `end` may return before it has ended, and `settled`
   * says when it has. Without it everything is done at once.
   */
  isWanted?: () => boolean
}

/**
 * The screen for one reply; null where no rule reads it, the tenant lets pass what cannot be inspected, and nothing must be put back. What was cut from
 * the call is put back after the rules have read the reply.
 */
export function screenFor({ reply }: Verdict, dialect: Dialect, { tenant, originals = null, now = monotonic, isWanted }: ScreenOptions): ReplyScreen | null {
  const about = uninspectableRule(tenant)
  const judges = reply !== null || about?.action === 'BLOCK'
  if (!judges && originals === null) return null
  const counts = new Map<Rule, number>()
  const count = (rule: Rule, more: number): void => void counts.set(rule, (counts.get(rule) ?? 0) + more)
  let uninspectedBytes = 0
  const turns = new Turns(isWanted)
  const sinks: ReplySink[] = [] // from the client's side

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
      let outermost = inner
      for (const one of [...(originals ? [restoring(originals)] : []), ...(judges ? [judgement] : [])]) {
        const sink: ReplySink = new ReplySink(dialect, one, outermost, { turns, now })
        sinks.push(sink)
        outermost = sink
      }
      return outermost
    },
    findings: () => Array.from(counts, ([rule, found]) => ({ rule, count: found })),
    uninspectedBytes: () => uninspectedBytes,
    open: () => sinks[0]?.open() ?? [],
    held: () => mostOf(sinks.map((sink) => sink.held()).filter((held) => held !== null)),
    settled: () => turns.settled(),
  }
}

const monotonic = (): number => performance.now()

/** Of what is judged and of what is put back: an event that waited for both is told by the longer. */
const mostOf = (all: readonly HeldBack[]): HeldBack | null =>
  all.length === 0 ? null : { characters: Math.max(...all.map(({ characters }) => characters)), ms: Math.max(...all.map(({ ms }) => ms)) }

const NO_RULES: ReplyRules = { matcher: null, leaves: [], judgeWhole: null, holdsAll: false, stopsOrCuts: false }

function judgementOf(reply: ReplyRules, count: (rule: Rule, more: number) => void): Omit<Judgement, 'uninspected' | 'media'> {
  const { matcher, leaves, judgeWhole } = reply
  let findings = 0
  /** Whether a finding is one of the texts its rule asks for; then it counts. */
  const isAsked = (leaf: number, now: Role): boolean => {
    if (++findings > FINDINGS_MAX) throw unreadable(`The reply has more than ${FINDINGS_MAX} findings.`)
    const { rule, role } = leaves[leaf]
    if (role !== null && role !== now) return false
    count(rule, 1)
    return true
  }
  return {
    isLenient: false,
    withholdsRepeats: reply.stopsOrCuts,
    holdsAll: reply.holdsAll,
    watch: (spans, roleNow) => {
      const watch = matcher?.((start, end, leaf) => {
        if (isAsked(leaf, roleNow()) && stopsOrCuts(leaves[leaf].rule)) insert(spans, start, end, leaf)
      })
      if (!watch) return noWatch
      return reply.stopsOrCuts ? stopping(watch) : tolerant(watch)
    },
    ...(matcher && {
      watchAcross: (edge: number, roleNow: () => Role, told: { spans: Span[]; base: number }) =>
        matcher((start, end, leaf) => {
          if (end <= edge) return
          const { rule, role } = leaves[leaf]
          if (start >= edge) {
            // What lies behind the interruption may owe its meaning to what stands before.
            if (stopsOrCuts(rule) && (role === null || role === roleNow())) insert(told.spans, told.base + start, told.base + end, leaf)
          } else if (isAsked(leaf, roleNow()) && stopsOrCuts(rule))
            throw unreadable('A text of the reply goes on after an interruption, and a rule finds something across it.')
        }),
    }),
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

const isBeyond = (error: unknown): boolean => error instanceof Failure && error.reason === 'scan_budget'

/** What cannot be searched within bounds is not passed on where a rule might have stopped or cut it. */
function stopping(watch: Watch): Watch {
  const tried = (run: () => void): void => {
    try {
      run()
    } catch (error) {
      throw isBeyond(error) ? new Failure('reply_unreadable', error) : error
    }
  }
  return {
    feed: (bytes, from, to) => tried(() => watch.feed(bytes, from, to)),
    finish: () => tried(() => watch.finish()),
    get decided() {
      return watch.decided
    },
  }
}

/** Where rules only count, such a text is counted no further. */
function tolerant(watch: Watch): Watch {
  let isLost = false
  const tried = (run: () => void): void => {
    if (isLost) return
    try {
      run()
    } catch (error) {
      if (!isBeyond(error)) throw error
      isLost = true
    }
  }
  return {
    feed: (bytes, from, to) => tried(() => watch.feed(bytes, from, to)),
    finish: () => tried(() => watch.finish()),
    get decided() {
      return isLost ? Number.POSITIVE_INFINITY : watch.decided
    },
  }
}

const stoppedBy = (rule: Rule): Refusal => new Refusal('blocked_by_rule', `The reply was stopped by policy: '${rule.name}'.`)
