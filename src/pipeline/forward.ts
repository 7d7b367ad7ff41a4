import { createTextMeter, type TextMeter } from '../dialects/text-meter.ts'
import type { Sink } from '../sink.ts'
import { FOR_A_PART, typeOf, withoutHeaders } from '../upstreams/headers.ts'
import { listModels } from '../upstreams/list-models.ts'
import { queryOf, type Sending, send } from '../upstreams/send.ts'
import { BudgetGate } from './budget-gate.ts'
import { EnvelopeSink } from './envelope.ts'
import { ClientSink, EndsTap } from './relay.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/** Sends the call and relays the answer. It needs the verdict, the ticket and the screen: nothing leaves unjudged, unrecorded or unscreened. */
export const forward: Stage<'caller' | 'call' | 'admission' | 'verdict' | 'outbound' | 'ticket' | 'screen', 'reply'> = async (known) => {
  const { caller, admission, screen, dialect, trace } = known
  const { speaks, candidates } = admission
  const client = new ClientSink(known)
  const told = dialect.envelope ? new EnvelopeSink(known, speaks.dialect, client) : client
  const text = createTextMeter()
  const tap = new EndsTap(gated(known, text, screen ? screen.wrap(told) : told), text, known.outbound.length)
  trace.relayed = text
  try {
    if (speaks.kind === 'models') await listModels(known, speaks, candidates, caller.tenant.allowedModels, tap)
    else await send(known, sendingOf(known), candidates, tap)
    await screen?.settled()
  } finally {
    trace.ends = tap.ends()
    trace.usage = speaks.dialect.readUsage(trace.ends)
  }
  return { reply: client.reply() }
}

/** A stream that draws on a hard budget ends with it. */
function gated({ call, admission, arrivedAt }: Pick<Exchange, 'arrivedAt'> & Pick<Facts, 'call' | 'admission'>, text: TextMeter, inner: Sink): Sink {
  const { reservation, expected, candidates } = admission
  if (!reservation || !expected || !call.streaming) return inner
  const { usage, nano } = expected
  return new BudgetGate(inner, text, {
    reservation,
    tokens: usage.output_tokens,
    nanoOf(tokens) {
      const more = { ...usage, output_tokens: usage.output_tokens + tokens }
      return nano === null ? null : Math.max(0, ...candidates.map((upstream) => (upstream.costOf(call.models, more, arrivedAt) ?? nano) - nano))
    },
  })
}

function sendingOf({
  incoming: { rawHeaders, url },
  dialect: { envelope },
  call,
  admission: { speaks },
  outbound,
  screen,
}: Exchange & Pick<Facts, 'call' | 'admission' | 'outbound' | 'screen'>): Sending {
  const { name } = speaks.dialect
  // What a rule looks for could be fetched in two halves, and found in neither.
  const headers = screen ? withoutHeaders(rawHeaders, FOR_A_PART) : rawHeaders
  const sending = { endpoint: speaks, type: typeOf(call), body: outbound }
  if (!envelope) return { ...sending, query: queryOf(url), headers }
  return { ...sending, query: envelope.query(name, call), headers: [...headers, ...envelope.headers(name)] }
}
