import { createHmac } from 'node:crypto'
import { detectorNamed, detectors } from './detectors.ts'
import { escapesOf, firstByte } from './replies/judgement.ts'

const REDACTED = '[REDACTED]'

/**
 * What stands for a finding: `[SSN]`-like for what a detector found, the name of a dictionary for its terms, `[REDACTED]` for a phrase or pattern. Always
 * ASCII without quotes or backslashes.
 */
export const placeholderFor = (name: string | undefined): string =>
  name === undefined ? REDACTED : (detectorNamed(name)?.placeholder ?? `[${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}]`)

/** What a placeholder of a call stands for. */
export interface Original {
  value: string
  /** It stands behind a backslash somewhere in the call, such as a name in `DOMAIN\name`: one before its placeholder is none of Markdown's. */
  followsBackslash: boolean
}
/** By placeholder. It lives as long as the call does. */
export type Originals = ReadonlyMap<string, Original>

/** RFC 4648, section 6. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const CODE_LENGTH = 6
/** Where six characters would stand for two values of one call. */
const LONG_CODE_LENGTH = 8
/** Values of one call that are remembered. What comes beyond them is cut for good. */
export const ORIGINALS_MAX = 10_000

export interface Reversible {
  placeholderOf(placeholder: string, value: string, followsBackslash?: boolean): string
  originals: Originals
}

/**
 * Makes reversible placeholders for one call, such as `[SSN_K7M2QA]` for `[SSN]`: the same value has the same one in every call of the tenant whose key
 * this is, and without the key nothing can be told from it. No two values of the call share one: the one that is asked for later gets a longer one, so
 * ask in the order of the conversation, and its beginning stays what it was. Beyond ORIGINALS_MAX values it is the plain one.
 */
export function createReversible(key: Buffer): Reversible {
  const originals = new Map<string, Original>()
  const byValue = new Map<string, string>()
  const give = (placeholder: string, value: string): string => {
    for (let round = 0; ; round++) {
      const coded = `${placeholder.slice(0, -1)}_${codeOf(key, value, round)}]`
      if (originals.has(coded)) continue
      originals.set(coded, { value, followsBackslash: false })
      byValue.set(`${placeholder}${value}`, coded)
      return coded
    }
  }
  return {
    originals,
    placeholderOf(placeholder, value, followsBackslash = false) {
      const known = byValue.get(`${placeholder}${value}`)
      if (known === undefined && originals.size >= ORIGINALS_MAX) return placeholder
      const coded = known ?? give(placeholder, value)
      if (followsBackslash) originals.set(coded, { value, followsBackslash })
      return coded
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

/**
 * Reads what spans of one text say. Where the text is JSON itself, such as tool arguments, that is what whoever parses it reads: the same value as in
 * any other text, whose placeholder and original are then the same too.
 */
export function sayingsIn(text: Buffer, { from, to }: { from: number; to: number }): (span: { start: number; end: number }) => string {
  let isJson: boolean | undefined
  return ({ start, end }) => {
    const raw = text.toString('utf8', start, end)
    if (!raw.includes('\\')) return raw
    isJson ??= escapesOf(firstByte(text, from, to)) === 2 && parsed(text.toString('utf8', from, to)) !== undefined
    const value = isJson ? parsed(`"${raw}"`) : raw
    return typeof value === 'string' && value.isWellFormed() ? value : raw
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

const known = new Set([REDACTED, ...detectors.map(({ placeholder }) => placeholder)])
const PLACEHOLDER = /\[[A-Z0-9_]+\]/g
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
