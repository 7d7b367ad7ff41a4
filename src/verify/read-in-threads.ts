/** Reads the records of a long file with more than one core. */
import { Worker } from 'node:worker_threads'
import { type PackedRecords, packRecords, unpackRecords } from './packed-records.ts'
import { tooLong } from './read-records.ts'
import type { LogRecord } from './record.ts'

/** Beside the one that looks at what they have read, and has less to do. */
const THREADS = 2
/** Pieces that are being read, or are read and nobody has looked at. */
const PIECES_MAX = 3 * THREADS
/** As much of a file is read before a thread is worth its start. */
const SHORT_BYTES = 4 << 20
const YOUNG_MEGABYTES_MAX = 32

/**
 * The records of pieces as `piecesOf` gives them, in their order: what `recordsOf` gives, but for what nobody looks at, see packRecords. Rejects where a
 * thread dies.
 */
export async function* recordsInThreads(pieces: AsyncIterable<Buffer | null>, shortBytes = SHORT_BYTES): AsyncGenerator<LogRecord> {
  const threads: Thread[] = []
  const reading: (Promise<PackedRecords> | null)[] = []
  let bytes = 0
  let turn = 0
  let lines = 0
  try {
    for await (const piece of pieces) {
      bytes += piece?.length ?? 0
      reading.push(piece && read(piece))
      if (reading.length === PIECES_MAX) yield* look()
    }
    while (reading.length > 0) yield* look()
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()))
  }

  function read(piece: Buffer): Promise<PackedRecords> {
    if (bytes <= shortBytes) return Promise.resolve(packRecords(piece))
    const i = turn++ % THREADS
    threads[i] ??= startThread()
    return threads[i].read(piece)
  }

  async function* look(): AsyncGenerator<LogRecord> {
    const packed = await reading.shift()
    if (packed) lines += yield* unpackRecords(packed, lines)
    else yield tooLong(++lines)
  }
}

interface Thread {
  read(piece: Buffer): Promise<PackedRecords>
  stop(): Promise<unknown>
}

function startThread(): Thread {
  const worker = new Worker(new URL('./read-thread.ts', import.meta.url), {
    env: {},
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MEGABYTES_MAX },
  })
  const waiting: PromiseWithResolvers<PackedRecords>[] = []
  const fail = (error: Error): void => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  worker.on('message', (packed: PackedRecords) => waiting.shift()?.resolve(packed))
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('A thread that reads has ended.')))
  return {
    read(piece) {
      const answer = Promise.withResolvers<PackedRecords>()
      // Others are still waited for when the first has failed.
      answer.promise.catch(() => {})
      waiting.push(answer)
      // Its memory goes along, where it has memory of its own.
      const own = piece.length === piece.buffer.byteLength ? piece : new Uint8Array(piece)
      worker.postMessage(own, [own.buffer as ArrayBuffer])
      return answer.promise
    },
    stop: () => worker.terminate(),
  }
}
