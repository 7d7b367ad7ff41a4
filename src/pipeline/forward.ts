import { send } from '../upstreams/send.ts'
import { ClientSink, EndsTap } from './relay.ts'
import type { Stage } from './stage.ts'

/** Sends the call and relays the answer. It needs the verdict, the ticket and the screen: nothing leaves unjudged, unrecorded or unscreened. */
export const forward: Stage<'admission' | 'verdict' | 'outbound' | 'ticket' | 'screen', 'reply'> = async (known) => {
  const { admission, outbound, screen, dialect, trace } = known
  const client = new ClientSink(known)
  const tap = new EndsTap(screen ? screen.wrap(client) : client)
  try {
    await send(known, admission.candidates, outbound, tap)
  } finally {
    trace.usage = dialect.readUsage(tap.ends())
  }
  return { reply: client.reply(tap.bytes) }
}
