/** The shape of an API key: `ef_<live|test>_<8 shown characters>_<32 secret characters><6 of checksum>`. Nothing here asks the database. */
import { randomFillSync } from 'node:crypto'
import { crc32 } from 'node:zlib'

export type KeyKind = 'live' | 'test'

/** What a secret scanner looks for. */
export const keyPattern = /\bef_(live|test)_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}\b/

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_CHARACTERS = 8
/** 32 characters of base62 are 190 bits: such a secret needs no slow hash. */
const SECRET_CHARACTERS = 32
const CHECKSUM_CHARACTERS = 6
const PREFIX_CHARACTERS = 'ef_live_'.length + ID_CHARACTERS
const KEY_CHARACTERS = PREFIX_CHARACTERS + 1 + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
const whole = new RegExp(`^${keyPattern.source.slice(2, -2)}$`)
const prefix = /^ef_(live|test)_[0-9A-Za-z]{8}$/

/** A new random key. Its text exists only here and in the one answer that shows it. */
export function mintKey(kind: KeyKind): string {
  const body = `ef_${kind}_${randomCharacters(ID_CHARACTERS)}_${randomCharacters(SECRET_CHARACTERS)}`
  return body + checksum(body)
}

/** Whether the text has a key's shape and checksum. Typos and random strings end here, before any hash or query. */
export const isWellFormed = (text: string): boolean =>
  text.length === KEY_CHARACTERS && whole.test(text) && checksum(text.slice(0, -CHECKSUM_CHARACTERS)) === text.slice(-CHECKSUM_CHARACTERS)

/** The part of a key that may be shown and logged: `ef_live_<8 characters>`. */
export const prefixOf = (key: string): string => key.slice(0, PREFIX_CHARACTERS)

export const isPrefix = (text: string): boolean => prefix.test(text)

function checksum(text: string): string {
  let rest = crc32(text)
  let characters = ''
  for (let i = 0; i < CHECKSUM_CHARACTERS; i++) {
    characters = BASE62[rest % 62] + characters
    rest = Math.floor(rest / 62)
  }
  return characters
}

/** Bytes from 248 on are thrown away: with them the first eight characters would come up more often than the rest. */
function randomCharacters(count: number): string {
  const bytes = Buffer.alloc(count * 2)
  let characters = ''
  while (characters.length < count) {
    randomFillSync(bytes)
    for (let i = 0; i < bytes.length && characters.length < count; i++) if (bytes[i] < 248) characters += BASE62[bytes[i] % 62]
  }
  return characters
}
