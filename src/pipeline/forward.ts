import type { TextMeter } from '../dialects/text-meter.ts'
import { Failure } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { EchoMask } from '../upstreams/echo.ts'
import { FOR_A_PART, typeOf, withoutHeaders } from '../upstreams/headers.ts'
import { listModels } from '../upstreams/list-models.ts'
import { queryOf, type Sending, send } from '../upstreams/send.ts'
import { whoForbids } from './allowed-models.ts'
import { BudgetGate } from './budget-gate.ts'
import { budgetUsedUp } from './budget-refusals.ts'
import { EnvelopeSink } from './envelope.ts'
import { ClientSink, EndsTap } from './relay.ts'
import { createReplyMeter } from './reply-meter.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/** Sends the call and relays the answer. It needs the verdict, the ticket and the screen: nothing leaves unjudged, unrecorded or unscreened. */
export const forward: Stage<'caller' | 'call' | 'admission' | 'verdict' | 'outbound' | 'ticket' | 'screen', 'reply'> = async (known) => {
  const { caller, admission, screen, dialect, trace } = known
  const { speaks, candidates } = admission
  const client = new ClientSink(known)
  const told = dialect.envelope ? new EnvelopeSink(known, speaks.dialect, client) : client
  const meter = createReplyMeter()
  const screened = screen ? screen.wrap(told) : told
  const gate = gateOf(known, meter, screened)
  const tap = new EndsTap(gate ?? screened, meter, known.outbound.length)
  trace.relayed = meter
  try {
    if (speaks.kind === 'models') await listModels(known, speaks, candidates, (model) => whoForbids(caller, model) === null, tap)
    else
      await send(
        known,
        sendingOf(known),
        candidates,
        new EchoMask(() => trace.asked.at(-1) ?? null, tap, known.call.streaming),
        () => gate?.settled(),
        Math.random,
        () => affordAgain(known),
      )
    await gate?.settled()
    await screen?.settled()
  } finally {
    trace.ends = tap.ends()
    trace.usage = speaks.dialect.readUsage(trace.ends)
  }
  return { reply: client.reply() }
}

/** A stream that draws on a hard budget ends with it. */
function gateOf(known: Exchange & Pick<Facts, 'call' | 'admission'>, text: TextMeter, inner: Sink): BudgetGate | null {
  const { call, admission, arrivedAt } = known
  const { reservation, expected, candidates } = admission
  if (!reservation || !expected || !call.streaming) return null
  const { usage, nano } = expected
  const nanoOf = (tokens: number): number | null => {
    const more = { ...usage, output_tokens: usage.output_tokens + tokens }
    return nano === null ? null : Math.max(0, ...candidates.map((upstream) => (upstream.costOf(call.models, more, arrivedAt) ?? nano) - nano))
  }
  return new BudgetGate(inner, text, { reservation, tokens: usage.output_tokens, nanoOf }, known.signal)
}

/** One who took the call and did not answer is paid for having read it, beside the one who is asked next: what was reserved is for one of them. */
async function affordAgain({ call, admission, arrivedAt }: Exchange & Pick<Facts, 'call' | 'admission'>): Promise<void> {
  const { reservation, expected, candidates } = admission
  if (!reservation || !expected) return
  const usage = { input_tokens: expected.usage.input_tokens, output_tokens: 0 }
  const nano = expected.nano === null ? null : Math.max(0, ...candidates.map((upstream) => upstream.costOf(call.models, usage, arrivedAt) ?? 0))
  const answer = await reservation.extend(nano, usage.input_tokens)
  if (answer === 'gone') throw new Failure('unavailable', new Error('The row of a call under way was written: this process was taken for dead.'))
  if (answer !== 'granted') throw budgetUsedUp(answer, Date.now())
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
