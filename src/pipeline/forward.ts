import { FOR_A_PART, typeOf, withoutHeaders } from '../upstreams/headers.ts'
import { listModels } from '../upstreams/list-models.ts'
import { queryOf, type Sending, send } from '../upstreams/send.ts'
import { EnvelopeSink } from './envelope.ts'
import { ClientSink, EndsTap } from './relay.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/** Sends the call and relays the answer. It needs the verdict, the ticket and the screen: nothing leaves unjudged, unrecorded or unscreened. */
export const forward: Stage<'caller' | 'call' | 'admission' | 'verdict' | 'outbound' | 'ticket' | 'screen', 'reply'> = async (known) => {
  const { caller, admission, screen, dialect, trace } = known
  const { speaks, candidates } = admission
  const client = new ClientSink(known)
  const told = dialect.envelope ? new EnvelopeSink(known, speaks.dialect, client) : client
  const tap = new EndsTap(screen ? screen.wrap(told) : told)
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
