/** Clients that hold connections and hardly use them, in a thread of their own, so that whoever measures beside them is not held up by them. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** How they are slow, and how many of them there are. */
export interface SlowKind {
  name: string
  count: number
  first: string
  /** Sent every second. */
  drip: string
}

export interface Ended {
  kind: string
  /** From the connection to its end. */
  ms: number
  /** What they were told. */
  text: string
}

interface Slow {
  port: number
  kinds: readonly SlowKind[]
}

const ADDRESSES = 250

/** All at once, from 127.0.1.0/24. Resolves when each of them is closed. */
export function beSlowFromThread(slow: Slow): Promise<Ended[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: slow })
    worker.once('message', resolve).once('error', reject)
  })
}

async function beSlow(port: number, localAddress: string, { name: kind, first, drip }: SlowKind): Promise<Ended> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  let text = ''
  socket
    .on('error', () => {})
    .on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
  await once(socket, 'connect')
  const began = performance.now()
  const over = once(socket, 'close')
  if (first !== '') socket.write(first)
  const timer = drip === '' ? undefined : setInterval(() => socket.write(drip), 1_000)
  await over
  clearInterval(timer)
  return { kind, ms: performance.now() - began, text }
}

if (!isMainThread) {
  const { port, kinds } = workerData as Slow
  const all = kinds.flatMap((kind) => Array.from({ length: kind.count }, () => kind))
  parentPort?.postMessage(await Promise.all(all.map((kind, i) => beSlow(port, `127.0.1.${1 + (i % ADDRESSES)}`, kind))))
}
