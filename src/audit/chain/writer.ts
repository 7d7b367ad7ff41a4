/** One writer's chain: gives entries their places, hashes them together and signs the head. See README.md here for the format. */
import { generateKeyPairSync, hash, randomFillSync, sign } from 'node:crypto'
import { newId } from '../../ids.ts'
import type { AuditEntry } from '../entry.ts'
import { type ChainedEntry, leafOf, payloadHashOf } from '../leaf.ts'
import { chainEntry } from './chain-entry.ts'

export interface Batch {
  writer_id: string
  first_seq: number
  /** 32 bytes a leaf. */
  leaves: Buffer
  chain_hash: Buffer
  signature: Buffer
}

export interface SealedBatch {
  /** With their places, in order; the entry that opens the writer comes first. */
  rows: ChainedEntry[]
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
    let head = chainHash
    const rows = all.map((entry, i): ChainedEntry => {
      const owner = ownerOf(entry)
      const place = { writer_id: id, seq: seq + i + 1, tenant_prev: fresh.get(owner) ?? tenantSeq.get(owner) ?? 0 }
      fresh.set(owner, place.seq)
      const salt = salts.toString('base64url', i * SALT_BYTES, (i + 1) * SALT_BYTES)
      const payload_hash = payloadHashOf(entry, salt)
      const leafHash = hash('sha256', Buffer.concat([LEAF, Buffer.from(leafOf(entry, place, payload_hash))]), 'buffer')
      leafHash.copy(leaves, i * HASH_BYTES)
      head = hash('sha256', Buffer.concat([LINK, head, leafHash]), 'buffer')
      return { ...entry, ...place, salt, payload_hash, erased_by: null }
    })
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
      for (const row of rows) tenantSeq.set(ownerOf(row), row.seq)
    },
  }
}

const ownerOf = ({ kind, tenant_id }: AuditEntry): string => `${kind} ${tenant_id ?? ''}`

const LEAF = Buffer.of(0x00)
const LINK = Buffer.of(0x02)

const signedText = (origin: string, writerId: string, seq: number, chainHash: Buffer): string =>
  `earthflow batch v1\n${origin}\n${writerId}\n${seq}\n${chainHash.toString('base64')}\n`
