/** What the caller of `POST /v1/proxy` is told: the provider's answer, or that there is none, and what was decided about the call. */

import { createJsonReader } from '../dialects/bodies/json-reader.ts'
import { type Dialect, NOTHING_CLOSED, type Page } from '../dialects/dialect.ts'
import { endsAll, frameData, nextFrame } from '../dialects/events/event-stream.ts'
import { HeldBytes } from '../dialects/events/held-bytes.ts'
import { Failure, type Reason, Refusal } from '../errors.ts'
import { placesIn } from '../rules/places.ts'
import { isEncoded, isEventStream, type Sink } from '../sink.ts'
import { mayHaveLeft } from './may-have-left.ts'
import type { Outcome } from './stage.ts'
import { type PartlyKnown, statusOf } from './status.ts'

/** A plain answer is held whole, because the decision stands before it. */
const REPLY_BYTES_MAX = 32 << 20
/** One event of a stream. */
const EVENT_BYTES_MAX = 1 << 20
const PLACES_MAX = 64

/** What a rule decided is no error here: it is what was asked for. */
const DECIDED: ReadonlySet<Reason> = new Set<Reason>(['blocked_by_rule', 'cannot_redact', 'approval_required'])

/** The refusal that an envelope tells with status 200; null where it is told as an error, or there is none. */
export const decisionIn = ({ dialect }: PartlyKnown, outcome: Outcome | null): Refusal | null =>
  dialect.envelope && outcome?.kind === 'refused' && DECIDED.has(outcome.refusal.reason) ? outcome.refusal : null

/** The envelope as JSON. `response` is the provider's answer as it came, JSON itself; null where there is none, or where it was streamed. */
export function envelopeOf(known: PartlyKnown, outcome: Outcome | null, response: string | null): string {
  const { call, verdict, screen } = known
  const findings = verdict?.findings.filter(({ mode }) => mode === 'enforce') ?? []
  const leaves = verdict?.policy.leaves ?? []
  const places = call && placesIn(call)
  const decision = decisionIn(known, outcome)
  const status = statusOf(known, outcome)
  const shown = {
    status,
    request_id: known.id,
    audit_id: known.auditId,
    forwarded: mayHaveLeft(known.trace),
    reason:
      decision?.message ??
      (status === 'ALLOW' ? null : `Matched ${[...new Set(findings.map(({ rule }) => `'${rule.name}'`))].join(', ') || 'a rule for replies'}.`),
    triggered_rules: [
      ...findings.map(({ rule, spans }) => ({
        rule_id: rule.id,
        name: rule.name,
        action: rule.action,
        matched_field: places?.(spans, 1)[0] ?? null,
      })),
      ...(screen?.findings() ?? [])
        .filter(({ rule }) => rule.mode === 'enforce')
        .map(({ rule }) => ({ rule_id: rule.id, name: rule.name, action: rule.action, matched_field: 'response' })),
    ],
    redactions:
      places && status === 'REDACT'
        ? (verdict?.redactions ?? []).slice(0, PLACES_MAX).map((span) => ({
            field: places([span], 1)[0] ?? null,
            pattern: leaves[span.leaf]?.rule.name ?? null,
            replacement: leaves[span.leaf]?.placeholder ?? null,
          }))
        : [],
    rules_evaluated: verdict?.rulesEvaluated ?? 0,
    latency_ms: Math.round(performance.now() - known.startedAt),
    ...(known.trace.held && { approval_id: known.trace.held.id }),
  }
  return `${JSON.stringify(shown).slice(0, -1)},"response":${response ?? 'null'}}`
}

/** The whole answer where nothing was streamed yet: one event for those who asked for a stream. */
export function envelopePage(known: PartlyKnown, outcome: Outcome): Page {
  const body = envelopeOf(known, outcome, null)
  if (!known.call?.streaming) return { status: 200, headers: ['content-type', 'application/json'], body }
  return { status: 200, headers: ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-store'], body: `data: ${body}\n\n` }
}

/** Puts the answer of a provider that speaks `dialect` into the envelope: whole, or as `{"delta"}` events and the envelope as the last. */
export class EnvelopeSink implements Sink {
  readonly #known: PartlyKnown
  readonly #dialect: Dialect
  readonly #inner: Sink
  readonly #readJson = createJsonReader()
  #isStream = false
  /** The provider has said that its stream is at its end. */
  #isOver = false
  #chunks: Buffer[] = []
  #bytes = 0
  readonly #rest = new HeldBytes()
  /** The envelope was told: nothing follows it. */
  #isTold = false

  constructor(known: PartlyKnown, dialect: Dialect, inner: Sink) {
    this.#known = known
    this.#dialect = dialect
    this.#inner = inner
  }

  head(status: number, headers: string[]): void {
    // The provider's own words are for clients that speak to it; here its status says enough.
    if (status >= 400) {
      const told = new Refusal('upstream_unreachable', `The provider answered ${status}.`, { context: { upstream_status: status } })
      throw new Failure('upstream_unreachable', told)
    }
    if (isEncoded(headers)) throw new Failure('reply_unreadable', new Error('The reply is compressed although nothing else was asked for.'))
    this.#isStream = isEventStream(headers)
    this.#inner.head(200, ['content-type', this.#isStream ? 'text/event-stream; charset=utf-8' : 'application/json', 'cache-control', 'no-store'])
  }

  data(chunk: Buffer): boolean {
    if (this.#isStream) return this.#events(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > REPLY_BYTES_MAX) throw new Failure('reply_unreadable', new Error('The reply is too long for an envelope.'))
    this.#chunks.push(chunk)
    return true
  }

  end(): void {
    // The envelope says that the answer is whole.
    const rest = this.#rest.bytes()
    if (this.#isStream && !this.#isTold && !this.#isOver && !(rest && this.#dialect.isLastEvent(rest)))
      throw new Failure('upstream_unreachable', new Error('The stream of the provider ended before its end.'))
    if (this.#isStream) this.#tell()
    else {
      const reply = Buffer.concat(this.#chunks)
      this.#check(reply)
      this.#write(envelopeOf(this.#known, null, reply.toString()))
    }
    this.#inner.end()
  }

  error(): void {
    this.#chunks = []
    this.#inner.error()
  }

  #events(chunk: Buffer): boolean {
    if (this.#isTold) return true
    const searched = this.#rest.length
    const bytes = this.#rest.with(chunk)
    let at = 0
    let said = ''
    let isOver = false
    for (let end = nextFrame(bytes, Math.max(0, searched - 3)); end > 0 && !isOver; end = nextFrame(bytes, at)) {
      const frame = bytes.subarray(at, end)
      said += this.#textOf(frame)
      isOver = this.#dialect.isLastEvent(frame) && endsAll(frame, this.#known.call?.answers ?? 1)
      at = end
    }
    this.#rest.keep(bytes, at)
    if (this.#rest.length > EVENT_BYTES_MAX) throw new Failure('reply_unreadable', new Error('An event of the reply is too long for an envelope.'))
    const flows = said === '' || this.#write(`data: ${JSON.stringify({ delta: said })}\n\n`)
    return isOver ? this.#tell() : flows
  }

  /** As the last event, which the client's sink keeps back until the exchange is settled. */
  #tell(): boolean {
    if (this.#isTold) return true
    this.#isTold = true
    return this.#write(`data: ${envelopeOf(this.#known, null, null)}\n\n`)
  }

  /** What the first choice says to the user in this event. */
  #textOf(frame: Buffer): string {
    const data = frameData(frame)
    if (this.#dialect.isLastEvent(frame)) this.#isOver = true
    if (data === null || data === 'several' || frame[data.start] !== BRACE) return ''
    const json = this.#readJson(frame.subarray(data.start, data.end))
    // In every format so named; its words may be the caller's own, and are not told.
    if (json.isObject(json.get(0, 'error'))) throw new Failure('upstream_unreachable', new Error('The provider ended its stream with an error.'))
    let said = ''
    const closed = this.#dialect.readEvent(json, (node, _channel, role) => {
      if (role === 'assistant') said += json.text(node)
    })
    // Some leave the last event out, but not that their answer is complete.
    if (closed !== NOTHING_CLOSED) this.#isOver = true
    else if (said !== '') this.#isOver = false
    return said
  }

  /** Throws a Failure for what is no JSON: it would break the envelope around it. */
  #check(reply: Buffer): void {
    try {
      this.#readJson(reply)
    } catch (error) {
      throw new Failure('reply_unreadable', error)
    }
  }

  #write(text: string): boolean {
    return this.#inner.data(Buffer.from(text))
  }
}
const BRACE = 0x7b
