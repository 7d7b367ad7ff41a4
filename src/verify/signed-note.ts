/** Signed notes, and the checkpoints in them, as C2SP has them: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint. Ed25519 alone. */
import { createPrivateKey, createPublicKey, hash, type KeyObject, verify } from 'node:crypto'

/** Who may sign. */
export interface NoteKey {
  name: string
  /** Four bytes: which key of this name a signature is by. */
  id: Buffer
  publicKey: KeyObject
  /** `<name>+<id, hex>+<0x01 and the key, base64>` */
  text: string
}

export interface Checkpoint {
  origin: string
  size: number
  root: Buffer
}

/** The text is no key. */
export class BadKey extends Error {}
/** The note is none, or nobody we know has signed it; the message says which. */
export class BadNote extends Error {}

const ED25519 = 0x01
const KEY_BYTES = 32
const ID_BYTES = 4
const ROOT_BYTES = 32
const NOTE_LENGTH_MAX = 100_000
const SIGNATURES_MAX = 100
/** PKCS #8 of an Ed25519 key, up to the seed (RFC 8410). */
const SEED_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** An Ed25519 public key of 32 bytes: as JWK (base64url), which is how writers of a log tell theirs too. */
export const publicKeyOf = (x: string): KeyObject => createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } })

export function noteKeyOf(name: string, key: Buffer): NoteKey {
  const tagged = Buffer.concat([Buffer.of(ED25519), key])
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), tagged]), 'buffer').subarray(0, ID_BYTES)
  return { name, id, publicKey: publicKeyOf(key.toString('base64url')), text: `${name}+${id.toString('hex')}+${tagged.toString('base64')}` }
}

/** The public half of the key with this seed (32 bytes). */
export function noteKeyOfSeed(name: string, seed: Buffer): NoteKey {
  const pair = createPrivateKey({ key: Buffer.concat([SEED_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  return noteKeyOf(name, Buffer.from(createPublicKey(pair).export({ format: 'jwk' }).x as string, 'base64url'))
}

/** Reads a key as `text` of NoteKey has it. Throws BadKey. */
export function parseNoteKey(text: string): NoteKey {
  const [, name, id, tagged = ''] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim()) ?? []
  const bytes = Buffer.from(tagged, 'base64')
  if (!name || bytes.length !== 1 + KEY_BYTES || bytes[0] !== ED25519)
    throw new BadKey('It is no public key such as earthflow/…+0a1b2c3d+AR… (C2SP signed-note, Ed25519).')
  const key = noteKeyOf(name, bytes.subarray(1))
  if (key.id.toString('hex') !== id) throw new BadKey('The public key is damaged: its name, its id and its bytes do not fit together.')
  return key
}

/** A checkpoint that one of the keys has signed, for the log of the key's name. Throws BadNote. */
export function openCheckpoint(note: string, keys: readonly NoteKey[]): Checkpoint {
  const { text, signers } = openNote(note, keys)
  const [origin = '', size = '', root = '', ...extensions] = text.slice(0, -1).split('\n')
  const bytes = Buffer.from(root, 'base64')
  const isWhole = /^(?:0|[1-9]\d*)$/.test(size) && Number.isSafeInteger(Number(size)) && bytes.length === ROOT_BYTES && bytes.toString('base64') === root
  if (!isWhole || extensions.includes('')) throw new BadNote('it is no checkpoint')
  if (!signers.every(({ name }) => name === origin)) throw new BadNote(`it is of another log, ${origin}`)
  return { origin, size: Number(size), root: bytes }
}

/** The text of a note and who of the keys has signed it: at least one. A signature of theirs that is wrong spoils the note, whoever else has signed. Throws BadNote. */
export function openNote(note: string, keys: readonly NoteKey[]): { text: string; signers: NoteKey[] } {
  const end = note.lastIndexOf('\n\n') + 1
  const text = note.slice(0, end)
  const lines = note.slice(end + 1).split('\n')
  if (end === 0 || note.length > NOTE_LENGTH_MAX || lines.pop() !== '' || lines.length > SIGNATURES_MAX || /[\0-\x09\x0b-\x1f]/.test(note))
    throw new BadNote('it is no signed note')
  const signers = new Set<NoteKey>()
  for (const line of lines) {
    const [, name, base64 = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? []
    const bytes = Buffer.from(base64, 'base64')
    if (bytes.length <= ID_BYTES) throw new BadNote('it is no signed note')
    const key = keys.find((each) => each.name === name && each.id.equals(bytes.subarray(0, ID_BYTES)))
    if (!key) continue
    if (!verify(null, Buffer.from(text), key.publicKey, bytes.subarray(ID_BYTES))) throw new BadNote('its signature is wrong')
    signers.add(key)
  }
  if (signers.size === 0) throw new BadNote('it is not signed with the public key')
  return { text, signers: [...signers] }
}
