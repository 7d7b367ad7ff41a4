/** Puts an answer on the wire the way a model behaves: at once, slowly, or only half. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { Behaviour } from './behaviour.ts'
import type { Answer } from './played-dialect.ts'

export const sendDocument = (res: ServerResponse, status: number, headers: Record<string, string>, document: object): void =>
  send(res, status, { ...JSON_TYPE, ...headers }, Buffer.from(JSON.stringify(document)))

const JSON_TYPE = { 'content-type': 'application/json' }
const TEXT_TYPE = { 'content-type': 'text/plain; charset=utf-8' }

function send(res: ServerResponse, status: number, headers: Record<string, string>, body: Buffer): void {
  res.writeHead(status, { 'content-length': body.length, ...headers })
  res.end(body)
}

/** Waits for a slow reader; rejects as soon as the client leaves. */
export async function sendAnswer(
  res: ServerResponse,
  headers: Record<string, string>,
  makeAnswer: () => Answer,
  behaviour: Exclude<Behaviour, { kind: 'refuses' }>,
): Promise<void> {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  if (behaviour.kind === 'slow') await wait(behaviour.thinkMs, undefined, { signal: gone.signal })
  const answer = makeAnswer()
  if (answer.kind !== 'stream') {
    const { type, body } = wholeOf(answer)
    return behaviour.kind === 'cut' ? sendHalf(res, { ...type, ...headers }, body) : send(res, 200, { ...type, ...headers }, body)
  }

  res.writeHead(200, { 'content-type': answer.contentType ?? 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers })
  const frames = behaviour.kind === 'cut' ? firstHalf(answer.frames) : answer.frames
  for (const frame of frames) {
    if (behaviour.kind === 'slow') await wait(behaviour.pauseMs, undefined, { signal: gone.signal })
    // Frames written in one turn would leave in one packet.
    else await nextTurn(undefined, { signal: gone.signal })
    if (!res.write(frame)) await once(res, 'drain', { signal: gone.signal })
  }
  if (behaviour.kind === 'cut') return breakOff(res)
  res.end()
}

function wholeOf(answer: Exclude<Answer, { kind: 'stream' }>): { type: Record<string, string>; body: Buffer } {
  if (answer.kind === 'document') return { type: JSON_TYPE, body: Buffer.from(JSON.stringify(answer.body)) }
  return answer.kind === 'text' ? { type: TEXT_TYPE, body: Buffer.from(answer.body) } : { type: { 'content-type': answer.contentType }, body: answer.body }
}

async function sendHalf(res: ServerResponse, headers: Record<string, string>, body: Buffer): Promise<void> {
  res.writeHead(200, { 'content-length': body.length, ...headers })
  res.write(body.subarray(0, body.length / 2))
  await breakOff(res)
}

function firstHalf(frames: Iterable<string>): string[] {
  const all = [...frames]
  return all.slice(0, Math.ceil(all.length / 2))
}

/** Ends the connection without ending the answer, once what was written is out. */
async function breakOff(res: ServerResponse): Promise<void> {
  // Node hands what was written in one turn to the socket at the turn's end.
  await nextTurn()
  res.socket?.destroySoon()
}
