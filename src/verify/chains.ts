/** The chains of all writers: checked batch after batch. Of a leaf only its hash is kept. */
import { hash, type KeyObject, verify } from 'node:crypto'
import type { Findings } from './findings.ts'
import { createHashList, type HashList } from './hash-list.ts'
import type { BatchRecord, WriterRecord } from './record.ts'
import { publicKeyOf } from './signed-note.ts'

export interface Writer {
  readonly id: string
  /** As its record has it. */
  readonly publicKeyText: string
  readonly publicKey: KeyObject | null
  readonly closed: boolean
  readonly lastSeq: number | null
  /** Its last leaf so far, and the hash of its chain after it. */
  last: number
  head: Buffer
  /** Where in the tree its next batch may stand at the earliest; null once a batch stands nowhere in it. */
  treeEnd: number | null
  readonly runs: LeafRun[]
}

/** Leaves of one writer without a gap. Their hashes are those of the list from `at` on. */
export interface LeafRun {
  readonly writer: Writer
  readonly first: number
  readonly at: number
  count: number
}

/** A batch that the tree holds. Its hashes are those of the list from `at` on. */
export interface TreeBatch {
  treeIndex: number
  at: number
  count: number
}

export interface Chains {
  readonly writers: ReadonlyMap<string, Writer>
  readonly leaves: HashList
  /** In the order of the list. */
  readonly runs: readonly LeafRun[]
  readonly treeBatches: readonly TreeBatch[]
  readonly batches: number
  addWriter(record: WriterRecord): void
  addBatch(record: BatchRecord): void
  /** Where a leaf's hash is in the list; null: there is no such leaf. */
  find(writerId: string, seq: number): number | null
  /** Whose leaf it is, the other way round. */
  placeAt(at: number): { writer_id: string; seq: number }
  /** Where it stands in the tree; null: in none. */
  treeIndexAt(at: number): number | null
}

const HASH_BYTES = 32
const CHAIN = 0x02

export function createChains({ origin, findings }: { origin: () => string; findings: Findings }): Chains {
  const writers = new Map<string, Writer>()
  const leaves = createHashList()
  const runs: LeafRun[] = []
  const treeBatches: TreeBatch[] = []
  let batches = 0

  function addWriter({ id, public_key, closed, last_seq }: WriterRecord): void {
    if (writers.has(id)) {
      findings.add('the writer is told of twice', { writer_id: id })
      return
    }
    const publicKey = keyOrNull(public_key)
    if (!publicKey) findings.add('the public key of the writer is none', { writer_id: id })
    const start = { last: 0, head: Buffer.alloc(HASH_BYTES), treeEnd: 0, runs: [] }
    writers.set(id, { id, publicKeyText: public_key, publicKey, closed, lastSeq: last_seq, ...start })
  }

  function addBatch({ writer_id, first_seq, leaves: hashes, chain_hash, signature, tree_index }: BatchRecord): void {
    const place = { writer_id, seq: first_seq }
    const writer = writers.get(writer_id)
    const count = hashes.length / HASH_BYTES
    if (!writer) {
      findings.add('a batch of a writer that is not told of', place)
      return
    }
    if (!Number.isInteger(count) || count === 0) {
      findings.add('a batch without leaves, or with a part of one', place)
      return
    }
    if (first_seq <= writer.last) {
      findings.add('a second batch for the leaf, or one out of order', place)
      return
    }
    const isNext = first_seq === writer.last + 1
    if (!isNext) findings.add(`leaves ${writer.last + 1} to ${first_seq - 1} are in no batch`, { writer_id, seq: writer.last + 1 })

    // Where leaves are missing nobody can tell what the chain was after them; it goes on with what the batch says it is.
    if (isNext && !chainAfter(writer.head, hashes).equals(chain_hash)) findings.add('the chain after this batch is not what its leaves make it', place)
    writer.head = chain_hash
    writer.last = first_seq + count - 1
    const signed = `earthflow batch v1\n${origin()}\n${writer_id}\n${writer.last}\n${chain_hash.toString('base64')}\n`
    if (writer.publicKey && !verify(null, Buffer.from(signed), writer.publicKey, signature))
      findings.add('the batch is not signed with the key of its writer', place)

    const at = leaves.length
    leaves.add(hashes)
    const run = runs.at(-1)
    if (isNext && run?.writer === writer) run.count += count
    else {
      const fresh = { writer, first: first_seq, at, count }
      runs.push(fresh)
      writer.runs.push(fresh)
    }
    if (tree_index !== null) {
      if (writer.treeEnd === null) findings.add('the batch is in the tree, and one before it is not', place)
      else if (tree_index < writer.treeEnd) findings.add('the batch is in the tree before the one that it follows', place)
      treeBatches.push({ treeIndex: tree_index, at, count })
    }
    writer.treeEnd = tree_index === null ? null : tree_index + count
    batches++
  }

  return {
    writers,
    leaves,
    runs,
    treeBatches,
    get batches() {
      return batches
    },
    addWriter,
    addBatch,
    find(writerId, seq) {
      const run = lastWhere(writers.get(writerId)?.runs ?? [], ({ first }) => first <= seq)
      return run && seq < run.first + run.count ? run.at + seq - run.first : null
    },
    placeAt(at) {
      const run = lastWhere(runs, (each) => each.at <= at)!
      return { writer_id: run.writer.id, seq: run.first + at - run.at }
    },
    treeIndexAt(at) {
      const batch = lastWhere(treeBatches, (each) => each.at <= at)
      return batch && at < batch.at + batch.count ? batch.treeIndex + at - batch.at : null
    },
  }
}

function keyOrNull(text: string): KeyObject | null {
  try {
    return publicKeyOf(text)
  } catch {
    return null
  }
}

/** The hash of a chain after more leaves. */
function chainAfter(head: Buffer, hashes: Buffer): Buffer {
  const link = Buffer.alloc(1 + 2 * HASH_BYTES, CHAIN)
  let after = head
  for (let at = 0; at < hashes.length; at += HASH_BYTES) {
    after.copy(link, 1)
    hashes.copy(link, 1 + HASH_BYTES, at, at + HASH_BYTES)
    after = hash('sha256', link, 'buffer')
  }
  return after
}

/** The last of a sorted list for which the condition holds: it holds for all before it. */
export function lastWhere<T>(list: readonly T[], holds: (value: T) => boolean): T | undefined {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(list[middle]!)) low = middle + 1
    else high = middle
  }
  return list[low - 1]
}
