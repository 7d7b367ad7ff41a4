import { createHmac } from 'node:crypto'
import { detectorNamed, detectors } from './detectors.ts'

const REDACTED = '[REDACTED]'

/**
 * What stands for a finding: `[SSN]`-like for what a detector found, the name of a dictionary for its terms, `[REDACTED]` for a phrase or pattern. Always
 * ASCII without quotes or backslashes.
 */
export const placeholderFor = (name: string | undefined): string =>
  name === undefined ? REDACTED : (detectorNamed(name)?.placeholder ?? `[${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}]`)

/** What stands for what in one call, by placeholder. It lives as long as the call does. */
export type Originals = ReadonlyMap<string, string>

/** RFC 4648, section 6. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const CODE_LENGTH = 6
/** Where six characters would stand for two values of one call. */
const LONG_CODE_LENGTH = 8
/** Values of one call that are remembered. What comes beyond them is cut for good. */
export const ORIGINALS_MAX = 10_000

/**
 * Makes reversible placeholders for one call, such as `[SSN_K7M2QA]` for `[SSN]`: the same value has the same one in every call of the tenant whose key
 * this is, and without the key nothing can be told from it. No two values of the call share one. Beyond ORIGINALS_MAX values it is the plain one.
 */
export function createReversible(key: Buffer): { placeholderOf(placeholder: string, value: string): string; originals: Originals } {
  const originals = new Map<string, string>()
  const byValue = new Map<string, string>()
  return {
    originals,
    placeholderOf(placeholder, value) {
      const found = byValue.get(`${placeholder}${value}`)
      if (found !== undefined || originals.size >= ORIGINALS_MAX) return found ?? placeholder
      for (let round = 0; ; round++) {
        const coded = `${placeholder.slice(0, -1)}_${codeOf(key, value, round)}]`
        if (originals.has(coded)) continue
        originals.set(coded, value)
        byValue.set(`${placeholder}${value}`, coded)
        return coded
      }
    },
  }
}

function codeOf(key: Buffer, value: string, round: number): string {
  const digest = createHmac('sha256', key)
    .update(round === 0 ? value : `${round}\0${value}`)
    .digest()
  const bits = digest.readUIntBE(0, 5) // eight characters of five bits
  const code = Array.from({ length: LONG_CODE_LENGTH }, (_, i) => BASE32[Math.floor(bits / 32 ** (LONG_CODE_LENGTH - 1 - i)) % 32]).join('')
  return round === 0 ? code.slice(0, CODE_LENGTH) : code
}

const known = new Set([REDACTED, ...detectors.map(({ placeholder }) => placeholder)])
const PLACEHOLDER = /\[[A-Z0-9][A-Z0-9_]*\]/g
/** Too short to hide anything in. */
const CODE = /_[A-Z2-7]{6}(?:[A-Z2-7]{2})?\]$/
/** A dictionary's name is the longest, in its brackets. */
const PLACEHOLDER_BYTES_MAX = 64 + 2 + 1 + LONG_CODE_LENGTH

/**
 * Whether these bytes are part of one of our placeholders: cutting those again would make a redacted text grow with every round. `own` are those of
 * the policy's dictionaries.
 */
export function isInPlaceholder(text: Buffer, start: number, end: number, own: ReadonlySet<string>): boolean {
  if (end - start > PLACEHOLDER_BYTES_MAX) return false
  const from = Math.max(0, end - PLACEHOLDER_BYTES_MAX)
  for (const { 0: found, index } of text.toString('latin1', from, start + PLACEHOLDER_BYTES_MAX).matchAll(PLACEHOLDER)) {
    const plain = found.replace(CODE, ']')
    const isOurs = known.has(found) || known.has(plain) || own.has(found) || own.has(plain)
    if (isOurs && from + index <= start && from + index + found.length >= end) return true
  }
  return false
}
