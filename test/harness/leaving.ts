/** Clients that go away: at five moments of a call, half of them by reset. */
import type { AuditEntry } from '../../src/audit/entry.ts'
import { type Client, chat, type Tenant, until, wire } from './client.ts'
import { chatEvent, type Provider, type Script, SSE } from './provider.ts'

export interface Left {
  moment: string
  left: number
  rows: AuditEntry[]
  upstreamClosed: boolean
}

const BATCH = 20
/** More than any socket's buffers take. */
const BYTES_STUCK = 2 << 20
const PIECES_STUCK = 4

/** `count` clients for each moment, in batches. Waits until every one of them has its row, and every upstream call is over. */
export async function leaveAtEveryMoment(flow: Client & { tenant: Tenant; provider: Provider }, count: number, path = '/v1/chat/completions'): Promise<Left[]> {
  const whole = wire(path, flow.tenant.api_key, chat('I am leaving', { stream: true }))
  const stream =
    (first: string): Script =>
    ({ response }) => {
      response.writeHead(200, SSE)
      response.write(first)
    }
  const moments: { moment: string; send: string; script: Script; reaches: boolean; reads: 'nothing' | 'first byte' | 'all there is' }[] = [
    {
      moment: 'while its body arrives',
      send: `${whole.slice(0, whole.indexOf('\r\n\r\n') + 4)}{"model":"m",`,
      script: () => {},
      reaches: false,
      reads: 'nothing',
    },
    { moment: 'while the provider thinks', send: whole, script: () => {}, reaches: true, reads: 'nothing' },
    { moment: 'at the first byte', send: whole, script: ({ response }) => response.writeHead(200, SSE).flushHeaders(), reaches: true, reads: 'first byte' },
    { moment: 'mid-stream', send: whole, script: stream(chatEvent('one')), reaches: true, reads: 'all there is' },
    {
      moment: 'while a large answer is stuck',
      send: whole,
      script: stream(chatEvent('y'.repeat(BYTES_STUCK / PIECES_STUCK)).repeat(PIECES_STUCK)),
      reaches: true,
      reads: 'nothing',
    },
  ]
  const results: Left[] = []
  for (const { moment, send, script, reaches, reads } of moments) {
    flow.provider.script = script
    const known = new Set((await flow.rows()).map(({ audit_id }) => audit_id))
    const seen = flow.provider.seen.length
    for (let done = 0; done < count; ) {
      const sockets = Array.from({ length: Math.min(BATCH, count - done) }, () => flow.open())
      done += sockets.length
      const heard = sockets.map((socket) => {
        const state = { bytes: 0 }
        if (reads === 'nothing' && moment.includes('stuck')) socket.pause()
        else
          socket.on('data', (chunk) => {
            state.bytes += chunk.length
          })
        socket.write(send)
        return state
      })
      if (reaches) await until(() => flow.provider.seen.length >= seen + done, `the calls ${moment} to reach the provider`)
      else await until(async () => (await flow.openExchanges()) >= sockets.length, `the calls ${moment} to begin`)
      if (reads !== 'nothing') await until(() => heard.every(({ bytes }) => bytes > 0), `the clients ${moment} to hear something`)
      for (const [i, socket] of sockets.entries()) i % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()
      await until(async () => (await flow.openExchanges()) === 0, `the exchanges ${moment} to end`)
    }
    const mine = async () => (await flow.rows()).filter(({ audit_id }) => !known.has(audit_id))
    await until(async () => (await mine()).length >= count, `${count} rows ${moment}`)
    await until(() => flow.provider.seen.slice(seen).every(({ closed }) => closed), `every upstream call ${moment} to be closed`)
    results.push({ moment, left: count, rows: await mine(), upstreamClosed: flow.provider.seen.slice(seen).every(({ closed }) => closed) })
  }
  return results
}
