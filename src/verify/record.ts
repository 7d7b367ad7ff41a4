/** The records a log is verified from: the lines of an export (src/audit/chain/README.md), or what a database holds in their shape. */
import type { AuditEntry } from '../audit/entry.ts'
import type { ChainedEntry, LeafPlace } from '../audit/leaf.ts'
import { leafOfLine } from './check-row.ts'

/** Where an entry stands, and what of it may change. */
export interface Standing extends LeafPlace, Pick<ChainedEntry, 'erased_by'> {
  /** In the tree; null or absent while no checkpoint holds it. */
  index?: number | null
  tree_size?: number | null
  /** Base64, from the leaf up. */
  path?: string[] | null
}

/** With what its leaf is made of. */
export interface Chained extends Standing, Pick<ChainedEntry, 'salt' | 'payload_hash'> {}

/** What is looked at of an entry beside its leaf. */
export type EntryFacts = Pick<AuditEntry, 'audit_id' | 'timestamp' | 'kind' | 'tenant_id' | 'outcome' | 'reason' | 'metadata'>

/** The leaf a row makes, and what cannot be right about the row whatever was logged. */
export interface RowLeaf {
  hash: Buffer
  problem: string | null
}

/** Whether who wrote a row that has no place yet knew the installation's key; `unknown` where that cannot be told. */
export type Seal = 'right' | 'wrong' | 'none' | 'unknown'

export type LogRecord =
  | { kind: 'log'; origin: string; tree_size: number }
  /** Size and root once more, where they are kept beside the note. */
  | { kind: 'checkpoint'; note: string; tree_size?: number; root?: Buffer }
  | { kind: 'writer'; id: string; public_key: string; closed: boolean; last_seq: number | null }
  | { kind: 'batch'; writer_id: string; first_seq: number; leaves: Buffer; chain_hash: Buffer; signature: Buffer; tree_index: number | null }
  /** Both null: the row has no place. */
  | { kind: 'entry'; entry: EntryFacts; chain: Standing | null; leaf: RowLeaf | null; seal: Seal }
  /** The row's audit_id once more, where it is kept beside it. */
  | { kind: 'superseded'; writer_id: string; seq: number; audit_id?: string; row: Record<string, unknown> }
  | { kind: 'end'; entries: number }
  /** Something that should be one of the others. `line` counts from 1. */
  | { kind: 'unreadable'; line: number; why: string }

export type EntryRecord = Extract<LogRecord, { kind: 'entry' }>
export type WriterRecord = Extract<LogRecord, { kind: 'writer' }>
export type BatchRecord = Extract<LogRecord, { kind: 'batch' }>

/** Reads a line of an export. Throws a sentence where it is none. */
export function readRecord(line: string): LogRecord {
  const value: unknown = JSON.parse(line)
  if (!isObject(value)) throw new Error('it is no JSON object')
  switch (value.kind) {
    case 'exchange':
    case 'change':
    case 'chain':
      return readEntry(value)
    case 'log':
      return { kind: 'log', origin: text(value, 'origin'), tree_size: count(value, 'tree_size') }
    case 'checkpoint':
      return { kind: 'checkpoint', note: text(value, 'note') }
    case 'writer':
      return {
        kind: 'writer',
        id: text(value, 'id'),
        public_key: text(value, 'public_key'),
        closed: value.closed === true,
        last_seq: countOrNull(value, 'last_seq'),
      }
    case 'batch':
      return {
        kind: 'batch',
        writer_id: text(value, 'writer_id'),
        first_seq: count(value, 'first_seq'),
        leaves: bytes(value, 'leaves'),
        chain_hash: bytes(value, 'chain_hash'),
        signature: bytes(value, 'signature'),
        tree_index: countOrNull(value, 'tree_index'),
      }
    case 'superseded':
      if (!isObject(value.row)) throw new Error('row is no object')
      return { kind: 'superseded', writer_id: text(value, 'writer_id'), seq: count(value, 'seq'), row: value.row }
    case 'end':
      return { kind: 'end', entries: count(value, 'entries') }
    default:
      throw new Error('its kind is not known')
  }
}

/** What the fields of an entry are its leaf proves; here is only looked at what that is made of. */
function readEntry(value: Record<string, unknown>): EntryRecord {
  const { chain } = value
  if (chain === undefined) throw new Error('it has no proof: was it exported with proofs=false?')
  text(value, 'audit_id')
  const entry = value as unknown as AuditEntry
  const standing = isObject(chain) && chain.writer_id !== null ? readChained(chain) : null
  return { kind: 'entry', entry, chain: standing, leaf: standing && leafOfLine(entry, standing), seal: 'unknown' }
}

function readChained(chain: Record<string, unknown>): Chained {
  text(chain, 'writer_id')
  count(chain, 'seq')
  count(chain, 'tenant_prev')
  text(chain, 'payload_hash')
  for (const name of ['salt', 'erased_by']) if (chain[name] !== null) text(chain, name)
  for (const name of ['index', 'tree_size']) countOrNull(chain, name)
  const { path = null } = chain
  if (path !== null && !(Array.isArray(path) && path.every((hash) => typeof hash === 'string'))) throw new Error('path is no list of hashes')
  return chain as unknown as Chained
}

export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function text(value: Record<string, unknown>, name: string): string {
  const member = value[name]
  if (typeof member !== 'string') throw new Error(`${name} is no text`)
  return member
}

function count(value: Record<string, unknown>, name: string): number {
  const member = value[name]
  if (!Number.isSafeInteger(member) || (member as number) < 0) throw new Error(`${name} is no count`)
  return member as number
}

const countOrNull = (value: Record<string, unknown>, name: string): number | null => (value[name] == null ? null : count(value, name))

const bytes = (value: Record<string, unknown>, name: string): Buffer => Buffer.from(text(value, name), 'base64')
