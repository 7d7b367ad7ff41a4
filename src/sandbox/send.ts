/** Puts an answer on the wire the way a model behaves: at once, slowly, or only half. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { Behaviour } from './behaviour.ts'
import type { Answer } from './played-dialect.ts'

export function sendDocument(res: ServerResponse, status: number, headers: Record<string, string>, document: object): void {
  const body = Buffer.from(JSON.stringify(document))
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length, ...headers })
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
  if (answer.kind === 'document') return behaviour.kind === 'cut' ? sendHalf(res, headers, answer.body) : sendDocument(res, 200, headers, answer.body)

  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers })
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

async function sendHalf(res: ServerResponse, headers: Record<string, string>, document: object): Promise<void> {
  const body = Buffer.from(JSON.stringify(document))
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, ...headers })
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
