import type { SQL } from 'drizzle-orm'
import { sql } from '../../db/drizzle.ts'
import type { ChainWriter, SealedBatch } from './writer.ts'

/**
 * Parts of a WITH clause that write a batch, and the writer if the batch opens it: `new_writer as (…), new_batch as (…)`. Written again, nothing changes. The
 * rows are another part of the same statement.
 */
export const batchParts = (
  { processId, publicKey }: Pick<ChainWriter, 'processId' | 'publicKey'>,
  { batch, isFirst }: Pick<SealedBatch, 'batch' | 'isFirst'>,
): SQL => sql`
  new_writer as (
    insert into audit_writers (id, process_id, public_key) select ${batch.writer_id}, ${processId}, ${publicKey} where ${isFirst}::boolean on conflict do nothing
  ), new_batch as (
    insert into audit_batches (writer_id, first_seq, leaves, chain_hash, signature)
    values (${batch.writer_id}, ${batch.first_seq}, decode(${batch.leaves.toString('base64')}, 'base64'),
      decode(${batch.chain_hash.toString('base64')}, 'base64'), decode(${batch.signature.toString('base64')}, 'base64'))
    on conflict do nothing
  )`
