/** A built log as records, as the lines of a complete export, and as the lines of a tenant's. */
import { hash } from 'node:crypto'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import { type LogRecord, readRecord } from '../../src/verify/record.ts'
import type { BuiltLog } from './build-log.ts'

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const base64 = (bytes: Buffer): string => bytes.toString('base64')

/** The lines of GET /v1/audit/export?complete=true. */
export function* linesOf(log: BuiltLog): Generator<string> {
  for (const line of objectsOf(log)) yield JSON.stringify(line)
}

function* objectsOf({ origin, checkpoints, writers, batches, rows, unplaced, superseded }: BuiltLog): Generator<object> {
  yield { kind: 'log', origin, tree_size: Math.max(0, ...checkpoints.map(({ tree_size }) => tree_size)) }
  for (const { note } of checkpoints) yield { kind: 'checkpoint', note }
  for (const { id, public_key, closed, last_seq } of writers.toSorted((a, b) => compare(a.id, b.id))) yield { kind: 'writer', id, public_key, closed, last_seq }
  for (const { leaves, chain_hash, signature, ...batch } of batches.toSorted((a, b) => compare(a.writer_id, b.writer_id) || a.first_seq - b.first_seq))
    yield { kind: 'batch', ...batch, leaves: base64(leaves), chain_hash: base64(chain_hash), signature: base64(signature) }
  for (const row of rows.toSorted((a, b) => compare(a.writer_id, b.writer_id) || a.seq - b.seq)) yield exported(row)
  for (const { entry } of unplaced) yield { ...entry, chain: null }
  for (const each of superseded) yield { kind: 'superseded', ...each }
  yield { kind: 'end', entries: rows.length + unplaced.length }
}

export function exported({ writer_id, seq, tenant_prev, salt, payload_hash, erased_by, ...entry }: ChainedEntry, proof: object = {}): object {
  return { ...entry, chain: { writer_id, seq, tenant_prev, salt, payload_hash, erased_by, ...proof } }
}

export async function* recordsOf(log: BuiltLog): AsyncGenerator<LogRecord> {
  for (const line of linesOf(log)) yield readRecord(line)
}

/** The lines of a tenant's export: each with the proof that it is in the tree of the newest checkpoint. */
export function* tenantLinesOf(log: BuiltLog, tenantId: string): Generator<string> {
  const { tree_size = 0 } = log.checkpoints.at(-1) ?? {}
  const leaves: Buffer[] = []
  const indexes = new Map<string, number>()
  for (const { writer_id, first_seq, leaves: hashes, tree_index } of log.batches) {
    if (tree_index === null) continue
    for (let i = 0; i < hashes.length / 32; i++) {
      leaves[tree_index + i] = hashes.subarray(32 * i, 32 * i + 32)
      indexes.set(`${writer_id} ${first_seq + i}`, tree_index + i)
    }
  }
  for (const row of log.rows.filter(({ tenant_id }) => tenant_id === tenantId)) {
    const index = indexes.get(`${row.writer_id} ${row.seq}`)
    const proof = index === undefined ? { index: null, tree_size: null, path: null } : { index, tree_size, path: pathOf(index, leaves).map(base64) }
    yield JSON.stringify(exported(row, proof))
  }
}

/** MTH(D[n]) of RFC 6962, 2.1, of leaf hashes. */
export function rootOf(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return hash('sha256', '', 'buffer')
  if (leaves.length === 1) return leaves[0]!
  const k = splitOf(leaves.length)
  return hash('sha256', Buffer.concat([Buffer.of(1), rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k))]), 'buffer')
}

/** PATH(m, D[n]) of RFC 6962, 2.1.1. */
export function pathOf(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return []
  const k = splitOf(leaves.length)
  return m < k ? [...pathOf(m, leaves.slice(0, k)), rootOf(leaves.slice(k))] : [...pathOf(m - k, leaves.slice(k)), rootOf(leaves.slice(0, k))]
}

/** The largest power of two below n. */
function splitOf(n: number): number {
  let k = 1
  while (2 * k < n) k *= 2
  return k
}
