import { typeOf } from '../upstreams/headers.ts'
import { listModels } from '../upstreams/list-models.ts'
import { queryOf, type Sending, send } from '../upstreams/send.ts'
import { EnvelopeSink } from './envelope.ts'
import { ClientSink, EndsTap } from './relay.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/** Sends the call and relays the answer. It needs the verdict, the ticket and the screen: nothing leaves unjudged, unrecorded or unscreened. */
export const forward: Stage<'caller' | 'call' | 'admission' | 'verdict' | 'outbound' | 'ticket' | 'screen', 'reply'> = async (known) => {
  const { caller, endpoint, admission, screen, dialect, trace } = known
  const { speaks, candidates } = admission
  const client = new ClientSink(known)
  const told = dialect.envelope ? new EnvelopeSink(known, speaks.dialect, client) : client
  const tap = new EndsTap(screen ? screen.wrap(told) : told)
  try {
    if (endpoint.kind === 'models') await listModels(known, candidates, caller.tenant.allowedModels, tap)
    else await send(known, sendingOf(known), candidates, tap)
  } finally {
    trace.ends = tap.ends()
    trace.usage = speaks.dialect.readUsage(trace.ends)
  }
  return { reply: client.reply(tap.bytes) }
}

function sendingOf({
  incoming,
  dialect: { envelope },
  call,
  admission: { speaks },
  outbound,
}: Exchange & Pick<Facts, 'call' | 'admission' | 'outbound'>): Sending {
  const { rawHeaders, url } = incoming
  if (!envelope) return { endpoint: speaks, query: queryOf(url), headers: rawHeaders, type: typeOf(call), body: outbound }
  const { name } = speaks.dialect
  return { endpoint: speaks, query: envelope.query(name, call), headers: [...rawHeaders, ...envelope.headers(name)], type: typeOf(call), body: outbound }
}
