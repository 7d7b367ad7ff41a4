/** One writer's chain: gives entries their places, hashes them together and signs the head. See README.md here for the format. */
import { generateKeyPairSync, hash, randomFillSync, sign } from 'node:crypto'
import { newId } from '../../ids.ts'
import type { AuditEntry } from '../entry.ts'
import { type LeafPlace, leafOf, payloadHash, payloadOf } from '../leaf.ts'
import { chainEntry } from './chain-entry.ts'

export interface Batch {
  writer_id: string
  first_seq: number
  /** 32 bytes a leaf. */
  leaves: Buffer
  chain_hash: Buffer
  signature: Buffer
}

/** An entry in its place. */
export interface SealedRow extends LeafPlace {
  entry: AuditEntry
  salt: string
  payload_hash: string
  /** The columns of its row, in the API's names: what was hashed, and nothing else. */
  json: string
}

export interface SealedBatch {
  /** In order; the entry that opens the writer comes first. */
  rows: SealedRow[]
  batch: Batch
  /** The batch opens the writer. */
  isFirst: boolean
}

export interface ChainWriter {
  readonly id: string
  readonly processId: string
  /** Ed25519, 32 bytes, base64url. */
  readonly publicKey: string
  /** The last leaf that is written; 0: none is. */
  readonly seq: number
  /** The next leaves. Nothing has changed until `written`: a batch the database refused may be sealed again as other batches. `at` is milliseconds since 1970. */
  seal(entries: readonly AuditEntry[], at: number): SealedBatch
  /** The batch, the last one that was sealed, is committed: the chain goes on from its end. */
  written(sealed: SealedBatch): void
}

export interface ChainWriterOptions {
  /** The log's name. */
  origin: string
  processId: string
  /** Of the program. */
  version: string
}

const HASH_BYTES = 32
const SALT_BYTES = 16

export function createChainWriter({ origin, processId, version }: ChainWriterOptions): ChainWriter {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const id = newId('wr')
  const publicKeyText = publicKey.export({ format: 'jwk' }).x as string
  let seq = 0
  let chainHash: Buffer = Buffer.alloc(HASH_BYTES)
  /** The last leaf of each kind of each tenant. A few numbers for each tenant of the installation. */
  const tenantSeq = new Map<string, number>()

  function seal(entries: readonly AuditEntry[], at: number): SealedBatch {
    const isFirst = seq === 0
    const opening = isFirst ? [chainEntry('writer.open', { actor: 'system', subject: id, public_key: publicKeyText, process_id: processId, version }, at)] : []
    const all = [...opening, ...entries]
    const salts = randomFillSync(Buffer.allocUnsafe(SALT_BYTES * all.length))
    const leaves = Buffer.allocUnsafe(HASH_BYTES * all.length)
    const fresh = new Map<string, number>()
    const rows: SealedRow[] = []
    link.set(chainHash, HEAD_AT)
    for (const [i, entry] of all.entries()) {
      const owner = ownerOf(entry)
      const place = { writer_id: id, seq: seq + i + 1, tenant_prev: fresh.get(owner) ?? tenantSeq.get(owner) ?? 0 }
      fresh.set(owner, place.seq)
      const salt = salts.toString('base64url', i * SALT_BYTES, (i + 1) * SALT_BYTES)
      const payload = payloadOf(entry)
      const payload_hash = payloadHash(payload, salt)
      const leaf = leafOf(entry, place, payload_hash)
      // By way of latin1, which costs less than a Buffer for each.
      const leafHash = hash('sha256', `\0${leaf}`, 'latin1')
      leaves.write(leafHash, i * HASH_BYTES, 'latin1')
      link.write(leafHash, LEAF_AT, 'latin1')
      link.write(hash('sha256', link, 'latin1'), HEAD_AT, 'latin1')
      rows.push({ entry, ...place, salt, payload_hash, json: `${leaf.slice(0, -1)},${payload.slice(1, -1)},"salt":"${salt}"}` })
    }
    const head = Buffer.from(link.subarray(HEAD_AT, LEAF_AT))
    const last = seq + all.length
    const signature = sign(null, Buffer.from(signedText(origin, id, last, head)), privateKey)
    return { rows, batch: { writer_id: id, first_seq: seq + 1, leaves, chain_hash: head, signature }, isFirst }
  }

  return {
    id,
    processId,
    publicKey: publicKeyText,
    get seq() {
      return seq
    },
    seal,
    written({ rows, batch }) {
      seq += rows.length
      chainHash = batch.chain_hash
      for (const { entry, seq } of rows) tenantSeq.set(ownerOf(entry), seq)
    },
  }
}

const ownerOf = ({ kind, tenant_id }: AuditEntry): string => `${kind} ${tenant_id ?? ''}`

/** What a link of the chain is hashed of: a byte that says so, the hash before it, the leaf's. */
const link = Buffer.alloc(1 + 2 * HASH_BYTES, 2)
const HEAD_AT = 1
const LEAF_AT = HEAD_AT + HASH_BYTES

const signedText = (origin: string, writerId: string, seq: number, chainHash: Buffer): string =>
  `earthflow batch v1\n${origin}\n${writerId}\n${seq}\n${chainHash.toString('base64')}\n`
