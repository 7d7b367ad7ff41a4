/** Statement parts that name leaves, for entries that tell what became of their rows: `{<writer_id>: "1-5,8"}`, as chain/README.md has it. */
import type { SQL } from 'drizzle-orm'
import { sql } from '../db/drizzle.ts'

/** A leaf is 32 bytes of a batch. */
const HASH_BYTES = 32

/** Where each run of leaves without a gap begins and ends: `writer_id`, `first`, `last`. `leaves` has `writer_id` and `seq`; rows without a place name no leaf. */
export const runsOf = (leaves: SQL): SQL => sql`
  select writer_id, min(seq) as first, max(seq) as last
  from (select writer_id, seq, seq - dense_rank() over (partition by writer_id order by seq) as run from (${leaves}) as leaves where seq is not null) as ranked
  group by writer_id, run`

/** `runs` as runsOf gives them. */
export const namesOf = (runs: SQL): SQL => sql`
  select coalesce(jsonb_object_agg(writer_id, list), '{}') from (
    select writer_id, string_agg(case when first = last then first::text else first || '-' || last end, ',' order by first) as list
    from (${runs}) as runs group by writer_id
  ) as lists`

/** The last leaf of a writer that a checkpoint holds; null: none is held. Checkpoints take the batches of a writer in their order and without a gap. */
export const lastHeld = (writerId: SQL): SQL => sql`(
  select first_seq + octet_length(leaves) / ${HASH_BYTES} - 1 from audit_batches
  where writer_id = ${writerId} and tree_index is not null order by first_seq desc limit 1)`
