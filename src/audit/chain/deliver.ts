/** Brings checkpoints to the sink, oldest first, until one is not taken. */
import type { Database } from '../../db/connect.ts'
import { asc, desc, eq, isNull, sql } from '../../db/drizzle.ts'
import { auditCheckpoints } from '../../db/schema.ts'
import type { CheckpointSink } from './sink.ts'

/** Of one round. */
const DELIVERIES_MAX = 100
/** A slow sink gets the rest in the next round. */
const ROUND_MS_MAX = 5_000
/** Older ones, more than a day of them, are not made up for: each newer one proves all before it. */
const UNDELIVERED_MAX = 10_000

/** Rejects with what the sink rejected with; what was delivered before stays so. Resolves with whether there may be more. `now` is milliseconds of any clock. */
export async function deliverCheckpoints({ db, sync }: Pick<Database, 'db' | 'sync'>, sink: CheckpointSink, now: () => number): Promise<boolean> {
  const { treeSize, note, deliveredAt } = auditCheckpoints
  const newest = db.select({ treeSize, note, deliveredAt }).from(auditCheckpoints).orderBy(desc(treeSize)).limit(UNDELIVERED_MAX).as('newest')
  const waiting = await db
    .select({ treeSize: newest.treeSize, note: newest.note })
    .from(newest)
    .where(isNull(newest.deliveredAt))
    .orderBy(asc(newest.treeSize))
    .limit(DELIVERIES_MAX)
  if (waiting.length === 0) return false
  // What the sink has must not be lost by us: another root of the same size would contradict it.
  await sync?.()
  const begunAt = now()
  let delivered = 0
  for (const checkpoint of waiting) {
    await sink.deliver(checkpoint)
    await db.update(auditCheckpoints).set({ deliveredAt: sql`now()` }).where(eq(treeSize, checkpoint.treeSize))
    delivered++
    if (now() - begunAt > ROUND_MS_MAX) break
  }
  return delivered < waiting.length || waiting.length === DELIVERIES_MAX
}
