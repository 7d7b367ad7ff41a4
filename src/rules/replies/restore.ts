/** Puts back what was cut from the call where the provider writes its placeholder: the reply reads as if nothing had been cut. */

import type { Matcher } from '../matching/match.ts'
import type { Originals } from '../placeholder.ts'
import { escapesOf, firstByte, type Judgement, noWatch } from './judgement.ts'

/**
 * It never stops a reply: what cannot be read passes, with its placeholders. Tool names and ids stay what they are, and so does a placeholder of which
 * the model left something out, changed the case, or that it made up.
 */
export function restoring(originals: Originals): Judgement {
  const values = Array.from(originals.values(), ({ value }) => value)
  const matcher = watchFor(originals)
  return {
    isLenient: true,
    withholdsRepeats: false,
    holdsAll: false,
    whole: null,
    uninspected() {},
    media() {},
    watch: (spans, roleNow) =>
      originals.size === 0
        ? noWatch
        : matcher((start, end, leaf) => {
            if (roleNow() !== 'tool_name') spans.push({ start, end, leaf })
          }),
    placeholderIn:
      ({ escapes }) =>
      ({ leaf }) => {
        let value = values[leaf]
        for (let i = 0; i < escapes; i++) value = JSON.stringify(value).slice(1, -1)
        return value
      },
  }
}

const OPEN = 0x5b
const CLOSE = 0x5d
const UNDERSCORE = 0x5f
const BACKSLASH = 0x5c
/** A backslash of Markdown, and the same in a string of JSON. More than that before one character is no escape of it. */
const BACKSLASHES_MAX = 2

/** What placeholders consist of between their brackets. */
const isInner = (byte: number): boolean => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39) || byte === UNDERSCORE

/** In the place of a byte: the beginning of the text, and a value that was put back, which may be a name like any other. */
const START = 0x0a
const VALUE = 0x41

/** What ends the part of a path or the name of a domain that a backslash follows. In doubt it does: a backslash too many harms less than one too few. */
const endsName = new Uint8Array(256).map((_, byte) => Number(byte >= 0x80 || /[\w.:%}]/.test(String.fromCharCode(byte))))
/** The letters of JSON's escapes for white space. */
const BLANK_ESCAPES = new Set(Buffer.from('nrtbf'))

/**
 * Finds placeholders, which never overlap, with the backslashes that a model writing Markdown puts before their brackets and underscores. Reports each
 * under its index, in order.
 */
function watchFor(originals: Originals): Matcher {
  const indexes = new Map(Array.from(originals, ([placeholder, { followsBackslash }], index) => [placeholder, { index, followsBackslash }]))
  const longest = Array.from(originals.keys()).reduce((most, { length }) => Math.max(most, length), 0)
  return (report) => {
    let at = 0
    let first: number | undefined // says whether this text is JSON in a string, where a backslash is two
    let backslashes = 0 // that were read last
    let last = START // what stands before them, and how many stand before that
    let beforeLast = 0
    let open = '' // what may become a placeholder, without its backslashes
    let start = 0 // where its bracket stands
    let before = { backslashes, isName: false } // that bracket
    let within = 0 // the most backslashes before one of its other characters
    const close = (end: number): boolean => {
      const found = indexes.get(`${open}]`)
      if (found === undefined) return false
      const own = Math.max(escapesOf(first) === 2 ? 2 : 1, within, backslashes)
      // Before the bracket alone it may be what parts a path or a domain from a name, which is no escape.
      const isSeparator = backslashes === 0 && (before.isName || found.followsBackslash || before.backslashes > own)
      report(start - (isSeparator ? 0 : Math.min(before.backslashes, own)), end, found.index)
      return true
    }
    return {
      feed(bytes, from, to) {
        first ??= firstByte(bytes, from, to)
        const isJson = escapesOf(first) === 2
        for (let i = from; i < to; i++) {
          const byte = bytes[i]
          if (byte === BACKSLASH) {
            if (++backslashes > BACKSLASHES_MAX) open = ''
            continue
          }
          let isPlaceholder = false
          if (byte === OPEN) {
            const isBlank = isJson && beforeLast % 2 === 1 && BLANK_ESCAPES.has(last)
            open = '['
            start = at + i - from
            before = { backslashes, isName: endsName[last] === 1 && !isBlank }
            within = 0
          } else if (open !== '') {
            if (byte === CLOSE) isPlaceholder = close(at + i - from + 1)
            const goesOn = isInner(byte) && open.length < longest && (backslashes === 0 || byte === UNDERSCORE)
            open = goesOn ? open + String.fromCharCode(byte) : ''
            within = Math.max(within, backslashes)
          }
          last = isPlaceholder ? VALUE : byte
          beforeLast = backslashes
          backslashes = 0
        }
        at += to - from
      },
      finish() {
        first = undefined
        backslashes = 0
        last = START
        beforeLast = 0
        open = ''
      },
      get decided() {
        return open === '' ? at - Math.min(backslashes, BACKSLASHES_MAX) : start - Math.min(before.backslashes, BACKSLASHES_MAX)
      },
    }
  }
}
