/** Builds logs as Earthflow writes them, in memory: chains by its own writer; tree, checkpoints and all that is told by hand, from the format. */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
import { chainEntry } from '../../src/audit/chain/chain-entry.ts'
import { type Batch, type ChainWriter, createChainWriter } from '../../src/audit/chain/writer.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import { newId } from '../../src/ids.ts'
import { change } from './random-entries.ts'

export interface BuiltWriter {
  id: string
  process_id: string
  public_key: string
  closed: boolean
  last_seq: number | null
}

export interface BuiltCheckpoint {
  tree_size: number
  root: Buffer
  note: string
}

/** All that the database of a log holds. */
export interface BuiltLog {
  origin: string
  checkpoints: BuiltCheckpoint[]
  writers: BuiltWriter[]
  batches: (Batch & { tree_index: number | null })[]
  rows: ChainedEntry[]
  /** Rows that have no place yet, and their seals. */
  unplaced: { entry: AuditEntry; seal: string | null }[]
  superseded: { writer_id: string; seq: number; row: ChainedEntry }[]
}

export type LogBuilder = ReturnType<typeof createLogBuilder>

export interface SigningKey {
  /** `<name>+<id>+<key>` */
  vkey: string
  sign(size: number, root: Buffer): string
  /** A note of whatever text, which ends with a line feed. */
  signText(text: string): string
}

const SEED_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

/** C2SP signed-note and tlog-checkpoint, as their texts say. */
export function createSigningKey(origin: string, seed: Buffer = hash('sha256', origin, 'buffer')): SigningKey {
  const key = createPrivateKey({ key: Buffer.concat([SEED_HEAD, seed]), format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
  const tagged = Buffer.concat([Buffer.of(1), raw])
  const id = hash('sha256', Buffer.concat([Buffer.from(`${origin}\n`), tagged]), 'buffer').subarray(0, 4)
  const signText = (text: string): string => `${text}\n— ${origin} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString('base64')}\n`
  return {
    vkey: `${origin}+${id.toString('hex')}+${tagged.toString('base64')}`,
    sign: (size, root) => signText(`${origin}\n${size}\n${root.toString('base64')}\n`),
    signText,
  }
}

/** `at`: milliseconds since 1970 of whatever happens next. */
export function createLogBuilder({ origin = 'earthflow/test', at = Date.parse('2026-03-01T00:00:00Z'), key = createSigningKey(origin) } = {}) {
  const log: BuiltLog = { origin, checkpoints: [], writers: [], batches: [], rows: [], unplaced: [], superseded: [] }
  const tree = createTree()
  let now = at

  function openWriter(): ChainWriter {
    const writer = createChainWriter({ origin, processId: newId('prc'), version: '1.0.0' })
    return writer
  }

  /** One batch. Returns its rows, as they stand in the log. */
  function write(writer: ChainWriter, entries: readonly AuditEntry[]): ChainedEntry[] {
    const sealed = writer.seal(entries, now)
    writer.written(sealed)
    if (sealed.isFirst) log.writers.push({ id: writer.id, process_id: writer.processId, public_key: writer.publicKey, closed: false, last_seq: null })
    log.batches.push({ ...sealed.batch, tree_index: null })
    const rows = sealed.rows.map(({ entry, json: _, ...place }): ChainedEntry => ({ ...entry, ...place, erased_by: null }))
    log.rows.push(...rows)
    return rows
  }

  /** Puts all new batches into the tree and signs its head. */
  function checkpoint(): void {
    const fresh = log.batches.filter(({ tree_index }) => tree_index === null)
    for (const batch of fresh.sort((a, b) => (a.writer_id < b.writer_id ? -1 : a.writer_id > b.writer_id ? 1 : a.first_seq - b.first_seq))) {
      batch.tree_index = tree.size
      for (let i = 0; i < batch.leaves.length; i += 32) tree.push(batch.leaves.subarray(i, i + 32))
    }
    if (fresh.length > 0) log.checkpoints.push({ tree_size: tree.size, root: tree.root(), note: key.sign(tree.size, tree.root()) })
  }

  function end(subject: ChainWriter, by: ChainWriter, reason: 'stopped' | 'silent'): void {
    const last = subject.seq + (subject === by ? 1 : 0)
    write(by, [chainEntry('writer.close', { actor: 'system', subject: subject.id, last_seq: last, reason }, now)])
    Object.assign(log.writers.find(({ id }) => id === subject.id)!, { closed: true, last_seq: last })
  }

  /** The rows go; an entry of `by` tells of them. */
  function prune(rows: readonly ChainedEntry[], by: ChainWriter): void {
    const before = new Date(now).toISOString()
    write(by, [change('audit.prune', null, { actor: 'system', subject: '*', before, entries: rows.length, leaves: namesOf(rows) }, now)])
    const gone = new Set(rows)
    log.rows = log.rows.filter((row) => !gone.has(row))
  }

  /** What the rows say of people goes; an entry of `by` tells of it. */
  function erase(rows: readonly ChainedEntry[], by: ChainWriter): ChainedEntry {
    const told = write(by, [change('audit.erase', rows[0]!.tenant_id, { actor: 'key', subject: 'user', entries: rows.length, leaves: namesOf(rows) }, now)]).at(
      -1,
    )!
    for (const row of rows) Object.assign(row, { user_id: null, metadata: {}, salt: null, erased_by: told.audit_id })
    return told
  }

  /** The exchange was logged as `unknown` and is logged again, by `by`, as it ended. */
  function supersede(row: ChainedEntry, by: ChainWriter): ChainedEntry {
    const { writer_id: _, seq: __, tenant_prev: ___, salt: ____, payload_hash: _____, erased_by: ______, ...entry } = row
    const ended = write(by, [{ ...entry, outcome: 'completed', http_status: 200 }]).at(-1)!
    log.superseded.push({ writer_id: row.writer_id, seq: row.seq, row })
    log.rows.splice(log.rows.indexOf(row), 1)
    return ended
  }

  return {
    log,
    key,
    get now() {
      return now
    },
    passTime(ms: number): void {
      now += ms
    },
    openWriter,
    write,
    checkpoint,
    close: (writer: ChainWriter): void => end(writer, writer, 'stopped'),
    closeSilent: (subject: ChainWriter, by: ChainWriter): void => end(subject, by, 'silent'),
    prune,
    erase,
    supersede,
  }
}

/** `{<writer_id>: "1-5,8"}` */
export function namesOf(rows: readonly Pick<ChainedEntry, 'writer_id' | 'seq'>[]): Record<string, string> {
  const byWriter = Map.groupBy(rows, ({ writer_id }) => writer_id)
  return Object.fromEntries(
    [...byWriter].map(([id, own]) => {
      const runs: [number, number][] = []
      for (const seq of own.map(({ seq }) => seq).sort((a, b) => a - b)) {
        const run = runs.at(-1)
        if (run?.[1] === seq - 1) run[1] = seq
        else runs.push([seq, seq])
      }
      return [id, runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')]
    }),
  )
}

const sha256 = (...parts: Buffer[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer')

/** RFC 6962, 2.1, counted in binary: a full subtree for each bit of the size. */
function createTree() {
  const subtrees: (Buffer | null)[] = []
  let size = 0
  return {
    get size() {
      return size
    },
    push(leaf: Buffer): void {
      let carry = leaf
      let level = 0
      for (; subtrees[level]; level++) {
        carry = sha256(Buffer.of(1), subtrees[level]!, carry)
        subtrees[level] = null
      }
      subtrees[level] = carry
      size++
    },
    root(): Buffer {
      const full = subtrees.filter((subtree) => subtree !== null)
      return full.length === 0 ? sha256() : full.reduce((right, left) => sha256(Buffer.of(1), left, right))
    },
  }
}
