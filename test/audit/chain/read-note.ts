/** Reads a signed note and a checkpoint as their specifications say (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), sharing nothing with who writes them. */
import { createHash, createPublicKey, verify } from 'node:crypto'

/** The note's text. Throws where no signature of the key `vkey` (`<name>+<8 hex>+<base64>`) holds. */
export function openNote(note: string, vkey: string): string {
  const [, name, id, key] = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? []
  const keyBytes = Buffer.from(key!, 'base64')
  if (keyBytes[0] !== 1 || keyBytes.length !== 33) throw new Error('no Ed25519 key')
  const hashed = createHash('sha256').update(`${name}\n`).update(keyBytes).digest().subarray(0, 4)
  if (hashed.toString('hex') !== id) throw new Error('the key id is wrong')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: keyBytes.subarray(1).toString('base64url') }, format: 'jwk' })
  const blank = note.lastIndexOf('\n\n')
  const text = note.slice(0, blank + 1)
  for (const line of note.slice(blank + 2).split('\n')) {
    const [, signer, signature] = /^— (\S+) (\S+)$/.exec(line) ?? []
    if (signer !== name) continue
    const bytes = Buffer.from(signature!, 'base64')
    if (bytes.subarray(0, 4).toString('hex') === id && verify(null, Buffer.from(text), publicKey, bytes.subarray(4))) return text
  }
  throw new Error('no signature holds')
}

export function openCheckpoint(note: string, vkey: string): { origin: string; size: number; root: Buffer } {
  const [origin, size, root, ...rest] = openNote(note, vkey).split('\n')
  if (rest.length !== 1 || !/^(0|[1-9]\d*)$/.test(size!)) throw new Error('no checkpoint')
  return { origin: origin!, size: Number(size), root: Buffer.from(root!, 'base64') }
}
