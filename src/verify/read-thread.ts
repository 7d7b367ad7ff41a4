/** A thread that reads: pieces of a file come in, their records go out. */
import { parentPort } from 'node:worker_threads'
import { packRecords } from './packed-records.ts'

parentPort!.on('message', (piece: Uint8Array<ArrayBuffer>) => {
  const packed = packRecords(Buffer.from(piece.buffer))
  parentPort!.postMessage(packed, [packed.hashes.buffer])
})
