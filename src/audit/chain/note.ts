/** Signed heads of the tree: C2SP tlog-checkpoint in a C2SP signed-note (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note). */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
import type { Db } from '../../db/connect.ts'
import { auditLog } from '../../db/schema.ts'
import type { TreeHead } from './tree.ts'

export interface LogKey {
  /** The log's name, and its key's. */
  readonly origin: string
  /** What a verifier is given: `<name>+<key id>+<key>`. */
  readonly vkey: string
  /** The note of a head. The same head gives the same note every time (Ed25519 is deterministic). */
  sign(head: TreeHead): string
}

/** RFC 8410: what stands before the 32 bytes of an Ed25519 private key in PKCS #8. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')
const ED25519 = Buffer.of(0x01)
const KEY_ID_BYTES = 4

export function logKeyOf(origin: string, seed: Buffer): LogKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = Buffer.concat([ED25519, Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x as string, 'base64url')])
  const keyId = hash('sha256', Buffer.concat([Buffer.from(`${origin}\n`), publicKey]), 'buffer').subarray(0, KEY_ID_BYTES)
  return {
    origin,
    vkey: `${origin}+${keyId.toString('hex')}+${publicKey.toString('base64')}`,
    sign({ size, root }) {
      const text = `${origin}\n${size}\n${root.toString('base64')}\n`
      const signature = Buffer.concat([keyId, sign(null, Buffer.from(text), privateKey)])
      return `${text}\n— ${origin} ${signature.toString('base64')}\n`
    },
  }
}

/** The log's name and key, read when they are first asked for. Needs the database then: ask before a transaction, not in one. */
export function createLogKey({ db, checkpointKey }: { db: Db; checkpointKey: () => Promise<Buffer> }): () => Promise<LogKey> {
  let known: LogKey | undefined
  return async () => {
    if (known) return known
    const [log] = await db.select().from(auditLog).limit(1)
    if (!log) throw new Error('The audit log has no name: the row of audit_log is gone.')
    known = logKeyOf(log.origin, await checkpointKey())
    return known
  }
}
