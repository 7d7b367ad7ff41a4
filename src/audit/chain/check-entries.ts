/** A look at the newest entries: whether each says what was logged, and stands in the tree that the newest checkpoint signs. `earthflow audit verify` looks at everything. */
import type { Db } from '../../db/connect.ts'
import { and, desc, eq, min, sql } from '../../db/drizzle.ts'
import { auditEntries, auditWriters } from '../../db/schema.ts'
import type { ChainedEntry } from '../leaf.ts'
import { leafOf, payloadHashOf } from '../leaf.ts'
import { type Row, toChained, toEntry } from '../row.ts'
import { createProver, isIncluded } from './inclusion.ts'
import type { LogKey } from './note.ts'
import { type Leaf, leavesAt, newestCheckpoint } from './proofs.ts'
import { tileStore } from './tiles.ts'
import { hashLeaf, type TreeHead, TreeMismatch } from './tree.ts'

const PAGE = 500
const PROBLEMS_MAX = 100

export interface Problem {
  /** Null where it is not one entry's. */
  audit_id: string | null
  problem: string
}

export interface Checked {
  verified: boolean
  entries: number
  covered: number
  not_yet_covered: number
  tree_size: number
  /** The first of them. */
  problems: Problem[]
}

/** Of a tenant, or of all (null). */
export async function checkEntries(db: Db, tenantId: string | null, limit: number, key: LogKey): Promise<Checked> {
  const newest = await newestCheckpoint(db)
  const head: TreeHead = { size: newest?.treeSize ?? 0, root: newest?.root ?? Buffer.alloc(0) }
  const problems: Problem[] = []
  let found = 0
  const add = (audit_id: string | null, problem: string): void => {
    found++
    if (problems.length < PROBLEMS_MAX) problems.push({ audit_id, problem })
  }
  if (newest && key.sign(head) !== newest.note) add(null, `The checkpoint of size ${head.size} is not signed by this log.`)
  const prover = createProver((ids) => tileStore(db).read(ids), head.size)
  const begun = await chainsBegan(db)
  const counts = { entries: 0, covered: 0, not_yet_covered: 0 }

  for await (const rows of newestRows(db, tenantId, limit)) {
    const chained = rows.map(toChained)
    const leaves = await leavesAt(db, chained)
    const covered: { entry: ChainedEntry; hash: Buffer; index: number }[] = []
    for (const [i, row] of rows.entries()) {
      const entry = chained[i]
      const leaf = leaves[i]
      counts.entries++
      const problem = entry ? problemOf(row, entry, leaf) : problemOfUnchained(row, begun)
      if (problem !== null) add(row.auditId, problem)
      else if (entry && leaf && leaf.index !== null && leaf.index < head.size) covered.push({ entry, hash: leaf.hash, index: leaf.index })
      else counts.not_yet_covered++
    }
    counts.covered += covered.length
    for (const auditId of await notIncluded(covered)) add(auditId, 'Its leaf is not in the tree that the newest checkpoint signs.')
  }
  return { verified: found === 0, ...counts, tree_size: head.size, problems }

  async function notIncluded(leaves: readonly { entry: ChainedEntry; hash: Buffer; index: number }[]): Promise<string[]> {
    try {
      const paths = await prover.pathsOf(leaves.map(({ index }) => index))
      return leaves.flatMap(({ entry, hash, index }, i) => (isIncluded(hash, index, paths[i], head) ? [] : [entry.audit_id]))
    } catch (error) {
      if (!(error instanceof TreeMismatch)) throw error
      return leaves.map(({ entry }) => entry.audit_id)
    }
  }
}

function problemOf(row: Row, entry: ChainedEntry, leaf: Leaf | undefined): string | null {
  if (!leaf) return 'No batch of the log has a leaf in its place.'
  try {
    if (!hashLeaf(Buffer.from(leafOf(toEntry(row), entry, entry.payload_hash))).equals(leaf.hash)) return 'It is not what was logged.'
  } catch {
    return 'It holds what no entry can.'
  }
  if (entry.salt === null) return entry.erased_by === null || row.userId !== null ? 'user_id and metadata are gone, and no erasure is named.' : null
  return payloadHashOf(entry, entry.salt) === entry.payload_hash ? null : 'user_id and metadata are not what was logged.'
}

/** A row waits for its place with a seal. One that has neither was written before there were chains, or by somebody who may not. */
const problemOfUnchained = ({ seal, timestamp }: Row, begun: Date | null): string | null =>
  seal === null && begun !== null && timestamp >= begun ? 'It has no place in the log, and nothing says that it may get one.' : null

async function chainsBegan(db: Db): Promise<Date | null> {
  const [first] = await db.select({ at: min(auditWriters.openedAt) }).from(auditWriters)
  return first?.at ?? null
}

/** A tenant's by time; of all, by their ids, which sort by time and have an index. */
async function* newestRows(db: Db, tenantId: string | null, limit: number): AsyncGenerator<Row[]> {
  const { timestamp, auditId } = auditEntries
  let last: Row | undefined
  for (let left = limit; left > 0; ) {
    const older =
      last &&
      (tenantId === null
        ? sql`${auditId} < ${last.auditId}`
        : sql`(${timestamp}, ${auditId}) < (${last.timestamp.toISOString()}::timestamptz, ${last.auditId})`)
    const rows: Row[] = await db
      .select()
      .from(auditEntries)
      .where(and(tenantId === null ? undefined : eq(auditEntries.tenantId, tenantId), older))
      .orderBy(...(tenantId === null ? [] : [desc(timestamp)]), desc(auditId))
      .limit(Math.min(left, PAGE))
    yield rows
    left -= rows.length
    last = rows.at(-1)
    if (rows.length < PAGE) return
  }
}
