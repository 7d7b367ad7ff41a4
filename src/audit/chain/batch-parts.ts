import type { SQL } from 'drizzle-orm'
import { sql } from '../../db/drizzle.ts'
import type { ChainWriter, SealedBatch } from './writer.ts'

/** What the parts below are made of, as a statement takes it. */
export const batchValues = (
  { processId, publicKey }: Pick<ChainWriter, 'processId' | 'publicKey'>,
  { batch, isFirst }: Pick<SealedBatch, 'batch' | 'isFirst'>,
) => ({
  writer_id: batch.writer_id,
  first_seq: batch.first_seq,
  leaves: batch.leaves.toString('base64'),
  chain_hash: batch.chain_hash.toString('base64'),
  signature: batch.signature.toString('base64'),
  process_id: processId,
  public_key: publicKey,
  is_first: isFirst,
})
export type BatchValue = keyof ReturnType<typeof batchValues>

/**
 * Parts of a WITH clause that write a batch, and the writer if the batch opens it: `new_writer as (…), new_batch as (…)`. Written again, nothing changes. The
 * rows are another part of the same statement.
 */
export const batchParts = (value: (name: BatchValue) => unknown): SQL => sql`
  new_writer as (
    insert into audit_writers (id, process_id, public_key) select ${value('writer_id')}, ${value('process_id')}, ${value('public_key')}
    where ${value('is_first')}::boolean on conflict do nothing
  ), new_batch as (
    insert into audit_batches (writer_id, first_seq, leaves, chain_hash, signature)
    values (${value('writer_id')}, ${value('first_seq')}, decode(${value('leaves')}, 'base64'),
      decode(${value('chain_hash')}, 'base64'), decode(${value('signature')}, 'base64'))
    on conflict do nothing
  )`
