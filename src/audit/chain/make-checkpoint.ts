/** One checkpoint in one transaction: what was written since the last one goes to the end of the tree, and its head is signed and told. */
import type { Tx } from '../../db/connect.ts'
import { desc, sql } from '../../db/drizzle.ts'
import { tell } from '../../db/outbox.ts'
import { auditCheckpoints } from '../../db/schema.ts'
import { newId } from '../../ids.ts'
import type { EventType } from '../../webhooks/event.ts'
import type { LogKey } from './note.ts'
import type { SilentWriters } from './silent-writers.ts'
import { type Gap, takeBatches } from './take-batches.ts'
import { tileStore } from './tiles.ts'
import { appendLeaves, EMPTY_ROOT, type TreeHead } from './tree.ts'
import type { Unchained } from './unchained.ts'

/** One process at a time, for as long as its transaction. Who finds it taken leaves it to the other; only a process that ends waits for its turn. */
const CHECKPOINT_LOCK = 0x6561_7274_0003
/** A statement may take longer than an ordinary one, where there is much to catch up with. */
const STATEMENT_MS = 8_000

export interface Checkpoint {
  tree_size: number
  /** Base64. */
  root: string
  note: string
}

export type Made =
  /** Another process makes one just now, or has made one a moment ago. */
  | { outcome: 'not our turn' }
  | {
      outcome: 'done'
      /** Null: there was nothing new. */
      checkpoint: Checkpoint | null
      /** Ids of rows whose seal is wrong. */
      wrong: string[]
      gaps: Gap[]
      /** Deliveries of events that wait now. */
      deliveries: number
      hasMore: boolean
    }

export interface Turn {
  key: LogKey
  unchained: Unchained
  silent: SilentWriters
  /** One that is younger does for now. */
  pauseMs: number
  /** This process ends: its chain does too. */
  isLast: boolean
}

/**
 * Two at once never sign two roots for one size: of two transactions one has the lock, and if that were not so, `tree_size` is a primary key. Throws
 * TreeMismatch where the stored tree is not the one that was signed last: nothing is signed after it.
 */
export async function makeCheckpoint(tx: Tx, { key, unchained, silent, pauseMs, isLast }: Turn): Promise<Made> {
  // What is signed must not be lost by a server that acknowledges before its disk does: it would sign another root for the same size.
  await tx.execute(sql`select set_config('statement_timeout', ${String(STATEMENT_MS)}, true), set_config('synchronous_commit', 'on', true)`)
  const lock = sql.raw(isLast ? 'pg_advisory_xact_lock' : 'pg_try_advisory_xact_lock')
  const [turn] = await tx.execute<{ is_mine: boolean | string }>(sql`select ${lock}(${CHECKPOINT_LOCK}::bigint) as is_mine`)
  if (turn?.is_mine === false) return { outcome: 'not our turn' }
  const { head, ageMs } = await newestHead(tx)
  if (ageMs >= 0 && ageMs < pauseMs) return { outcome: 'not our turn' }

  const { wrong, hasMore: hasMoreRows } = await unchained.chain(tx, await silent.close(tx), isLast)
  const { leaves, gaps, hasMore: hasMoreBatches } = await takeBatches(tx, head.size)
  const checkpoint = leaves.length > 0 ? await append(tx, { head, leaves, key }) : null
  const deliveries = checkpoint ? await tellOf(tx, checkpoint, key.origin) : 0
  return { outcome: 'done', checkpoint, wrong, gaps, deliveries, hasMore: hasMoreRows || hasMoreBatches }
}

/** And how old it is by the database's clock, since clocks need not agree. */
async function newestHead(tx: Tx): Promise<{ head: TreeHead; ageMs: number }> {
  const { treeSize, root, createdAt } = auditCheckpoints
  const age = sql<number>`(extract(epoch from now() - ${createdAt}) * 1000)::float8`
  const [newest] = await tx.select({ treeSize, root, age }).from(auditCheckpoints).orderBy(desc(treeSize)).limit(1)
  return newest
    ? { head: { size: newest.treeSize, root: newest.root }, ageMs: newest.age }
    : { head: { size: 0, root: EMPTY_ROOT }, ageMs: Number.POSITIVE_INFINITY }
}

async function append(tx: Tx, { head, leaves, key }: { head: TreeHead; leaves: Buffer; key: LogKey }): Promise<Checkpoint> {
  const { size, root } = await appendLeaves(tileStore(tx), head, leaves)
  const note = key.sign({ size, root })
  await tx.insert(auditCheckpoints).values({ treeSize: size, root, note, createdAt: sql`now()` })
  return { tree_size: size, root: root.toString('base64'), note }
}

function tellOf(tx: Tx, { tree_size, root }: Checkpoint, origin: string): Promise<number> {
  const type = 'AUDIT_CHECKPOINT' satisfies EventType
  const at = new Date().toISOString()
  return tell(tx, [{ event_id: newId('evt'), type, tenant_id: null, request_id: newId('req'), at, data: { origin, tree_size, root }, subject: null }])
}
