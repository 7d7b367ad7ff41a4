/** What somebody can do who may write into the database and knows the format: make a chain anew, under a key of their own, so that it fits what they changed. */
import { generateKeyPairSync, hash, sign } from 'node:crypto'
import { type ChainedEntry, leafOf, payloadHashOf } from '../../src/audit/leaf.ts'
import type { BuiltLog } from './build-log.ts'

/** Makes the chain of a writer fit its rows as they are now. Changes the log's rows, batches and writer. */
export function rechain(log: BuiltLog, writerId: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const writer = log.writers.find(({ id }) => id === writerId)!
  writer.public_key = publicKey.export({ format: 'jwk' }).x as string
  const rows = new Map(log.rows.filter((row) => row.writer_id === writerId).map((row) => [row.seq, row]))
  const opening = rows.get(1)!
  opening.metadata = { ...opening.metadata, public_key: writer.public_key }
  let head: Buffer = Buffer.alloc(32)
  for (const batch of log.batches.filter(({ writer_id }) => writer_id === writerId).sort((a, b) => a.first_seq - b.first_seq)) {
    const leaves = Buffer.from(batch.leaves)
    for (let i = 0; i < leaves.length / 32; i++) {
      const row = rows.get(batch.first_seq + i)
      if (row) leafHashOf(row).copy(leaves, 32 * i)
      head = hash('sha256', Buffer.concat([Buffer.of(2), head, leaves.subarray(32 * i, 32 * i + 32)]), 'buffer')
    }
    const last = batch.first_seq + leaves.length / 32 - 1
    const text = `earthflow batch v1\n${log.origin}\n${writerId}\n${last}\n${head.toString('base64')}\n`
    Object.assign(batch, { leaves, chain_hash: head, signature: sign(null, Buffer.from(text), privateKey) })
  }
}

/** With the payload hash that fits the row. */
function leafHashOf(row: ChainedEntry): Buffer {
  if (row.salt !== null) row.payload_hash = payloadHashOf(row, row.salt)
  return hash('sha256', Buffer.concat([Buffer.of(0), Buffer.from(leafOf(row, row, row.payload_hash))]), 'buffer')
}
