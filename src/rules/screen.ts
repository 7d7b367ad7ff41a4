/**
 * Reads a reply on its way to the client and cuts what the rules found. A streamed event is either passed on byte for byte or held
 * until the texts in it are decided; text never moves from one event to another, so a reply in which nothing is found arrives as sent.
 * Only what tells the text once more (tokens with their probabilities) is withheld from every reply to which a rule may do something.
 */
import type { Dialect } from '../dialects/dialect.ts'
import { Refusal } from '../errors.ts'
import { headerOf, isEventStream, type Sink, type Wrap } from '../sink.ts'
import { BodyScreen } from './body-screen.ts'
import { type Judgement, unreadable } from './judgement.ts'
import { insert } from './match.ts'
import { stopsOrCuts, type Verdict } from './policy.ts'
import { canBeCut } from './redact.ts'
import type { Rule } from './rule.ts'
import { StreamScreen } from './stream-screen.ts'

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
}

/** The screen for one reply; null where no rule reads it. */
export function screenFor({ reply }: Verdict, dialect: Dialect): ReplyScreen | null {
  if (!reply) return null
  const counts = new Map<Rule, number>()
  const judgement: Judgement = {
    withholdsRepeats: reply.stopsOrCuts,
    watch: (spans) =>
      reply.matcher((start, end, leaf) => {
        const { rule } = reply.leaves[leaf]
        counts.set(rule, (counts.get(rule) ?? 0) + 1)
        if (stopsOrCuts(rule)) insert(spans, start, end, leaf)
      }),
    placeholderIn: (role) => (span) => {
      const { rule, placeholder } = reply.leaves[span.leaf]
      if (rule.action !== 'REDACT') throw new Refusal('blocked_by_rule', `The reply was stopped by policy: '${rule.name}'.`)
      if (canBeCut(role)) return placeholder
      throw new Refusal('cannot_redact', `The reply was stopped by policy: '${rule.name}'. What it redacts stands where a placeholder would break the reply.`)
    },
  }
  return {
    wrap: (inner) => new ReplySink(dialect, judgement, inner),
    findings: () => Array.from(counts, ([rule, count]) => ({ rule, count })),
  }
}

/** Chooses by what the head says. Errors that are no JSON come from a gateway and not from a model, and pass; any other reply that cannot be read does not. */
class ReplySink implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  #chosen: Sink
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#chosen = inner
  }
  head(status: number, headers: string[]): void {
    if (!isEmpty(status, headers)) {
      const isStream = isEventStream(headers)
      if (isStream || JSON_TYPE.test(headerOf(headers, 'content-type') ?? '')) {
        if ((headerOf(headers, 'content-encoding') ?? 'identity') !== 'identity')
          throw unreadable('The reply is compressed although nothing else was asked for.')
        this.#chosen = new (isStream ? StreamScreen : BodyScreen)(this.#dialect, this.#judgement, this.#inner)
      } else if (status < 300) throw unreadable('The reply is neither JSON nor an event stream.')
    }
    this.#chosen.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    return this.#chosen.data(chunk)
  }
  end(): void {
    this.#chosen.end()
  }
  error(): void {
    this.#chosen.error()
  }
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i
const isEmpty = (status: number, headers: readonly string[]): boolean => status === 204 || status === 304 || headerOf(headers, 'content-length') === '0'
