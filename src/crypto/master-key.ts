/** The keys that open all others: EARTHFLOW_MASTER_KEY. */
import { createHash, hkdfSync, randomBytes } from 'node:crypto'

const KEY_BYTES = 32
/** 32 random bytes hold about 30 different ones; fewer than this were typed by somebody. */
const DIFFERENT_BYTES_MIN = 16
const SHAPE = /^[A-Za-z0-9_-]{43}=?$/
const KEYS_MAX = 10

/**
 * Reads a comma-separated list of master keys; the first is current, the others may still open what they wrapped. Each is 32 bytes in url-safe base64, with
 * or without its `=`, which is what a Fernet key looks like. Throws a sentence that never contains the value.
 */
export function parseMasterKeys(value: string): Buffer[] {
  const entries = value.split(',').map((entry) => entry.trim())
  if (entries.length > KEYS_MAX) throw new Error(`EARTHFLOW_MASTER_KEY lists more than ${KEYS_MAX} keys.`)
  const keys = entries.map((entry, i) => parseOne(entry, entries.length > 1 ? `Key ${i + 1} of EARTHFLOW_MASTER_KEY` : 'EARTHFLOW_MASTER_KEY'))
  if (new Set(keys.map(masterKeyId)).size < keys.length) throw new Error('EARTHFLOW_MASTER_KEY lists the same key twice.')
  return keys
}

function parseOne(entry: string, name: string): Buffer {
  const key = Buffer.from(entry, 'base64url')
  if (!SHAPE.test(entry) || key.length !== KEY_BYTES || key.toString('base64url') !== entry.replace('=', '')) {
    throw new Error(`${name} must be 32 random bytes in url-safe base64 (44 characters, like a Fernet key).`)
  }
  if (new Set(key).size < DIFFERENT_BYTES_MIN) throw new Error(`${name} is not random; generate one, for example with: openssl rand -base64 32 | tr '+/' '-_'`)
  return key
}

/** A new master key as it stands in the settings. */
export function generateMasterKey(): string {
  return `${randomBytes(KEY_BYTES).toString('base64url')}=`
}

/** What a master key is called in stored values and messages; tells nothing about the key. */
export function masterKeyId(key: Buffer): string {
  return createHash('sha256').update('earthflow master key id\0').update(key).digest('hex').slice(0, 12)
}

/** The key that wraps data keys. Derived, because a master key may also serve as a Fernet key, and a key should have one use. */
export function wrappingKey(key: Buffer): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, '', 'earthflow wrapping of data keys', KEY_BYTES))
}
