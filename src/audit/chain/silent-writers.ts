/** Chains whose process is gone without closing them: another one says where they end. */
import type { Tx } from '../../db/connect.ts'
import { sql } from '../../db/drizzle.ts'
import { DEAD_AFTER_SECONDS } from '../../db/processes.ts'
import type { AuditEntry } from '../entry.ts'
import { chainEntry } from './chain-entry.ts'

/** A chain without a new leaf for so long, whose process gives no sign of life, may be at its end. */
const SILENT_SECONDS = 600
/** So much later the process must still give none: after an outage of the database its first sign may come later than our first look. */
const SECOND_LOOK_MS = DEAD_AFTER_SECONDS * 1_000
const WRITERS_MAX = 100

interface Ended {
  id: string
  lastSeq: number
  /** It was closed before, and has leaves since: its process was only slow. */
  isLate: boolean
}

export interface SilentWriters {
  /**
   * Closes them in the transaction. Returns the entries that tell of it, which are yet to be chained. A chain that goes on after it was closed is closed once
   * more, further on.
   */
  close(tx: Tx): Promise<AuditEntry[]>
}

/** `now` is milliseconds since 1970. */
export function createSilentWriters({ processId, now }: { processId: string; now: () => number }): SilentWriters {
  /** When each was first seen silent: at most WRITERS_MAX. */
  let seen = new Map<string, number>()

  async function close(tx: Tx): Promise<AuditEntry[]> {
    const found = await findEnded(tx, processId)
    const at = now()
    const before = seen
    seen = new Map(found.filter(({ isLate }) => !isLate).map(({ id }) => [id, before.get(id) ?? at]))
    const ended = found.filter(({ id, isLate }) => isLate || at - seen.get(id)! >= SECOND_LOOK_MS)
    if (ended.length === 0) return []
    const ends = JSON.stringify(ended.map(({ id, lastSeq }) => ({ id, last_seq: lastSeq })))
    await tx.execute(sql`
      update audit_writers w set closed_at = coalesce(closed_at, now()), last_seq = r.last_seq
      from jsonb_to_recordset(${ends}::text::jsonb) as r(id text, last_seq bigint) where w.id = r.id`)
    return ended.map(({ id, lastSeq }) => chainEntry('writer.close', { actor: 'system', subject: id, last_seq: lastSeq, reason: 'silent' }, at))
  }

  return { close }
}

async function findEnded(tx: Tx, processId: string): Promise<Ended[]> {
  const lastBatch = sql`lateral (
    select b.first_seq + octet_length(b.leaves) / 32 - 1 as last_seq, b.written_at from audit_batches b where b.writer_id = w.id order by b.first_seq desc limit 1) l`
  const rows = await tx.execute<{ id: string; last_seq: string; is_late: boolean }>(sql`
    (select w.id, l.last_seq, false as is_late from audit_writers w cross join ${lastBatch}
     where w.closed_at is null and w.process_id <> ${processId} and l.written_at < now() - make_interval(secs => ${SILENT_SECONDS}) and not exists (
       select from processes p where p.id = w.process_id and p.heartbeat_at > now() - make_interval(secs => ${DEAD_AFTER_SECONDS}))
     limit ${WRITERS_MAX})
    union all
    (select w.id, l.last_seq, true from audit_writers w cross join ${lastBatch}
     where w.closed_at is not null and l.last_seq > w.last_seq and w.id in (select writer_id from audit_batches where tree_index is null)
     limit ${WRITERS_MAX})`)
  return rows.map(({ id, last_seq, is_late }) => ({ id, lastSeq: Number(last_seq), isLate: is_late }))
}
