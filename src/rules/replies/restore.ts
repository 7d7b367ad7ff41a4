/** Puts back what was cut from the call where the provider writes its placeholder: the reply reads as if nothing had been cut. */

import type { Matcher } from '../matching/match.ts'
import type { Originals } from '../placeholder.ts'
import { type Judgement, noWatch } from './judgement.ts'

/** It never stops a reply: what cannot be read passes, with its placeholders. Tool names and ids stay what they are. */
export function restoring(originals: Originals): Judgement {
  const placeholders = [...originals.keys()]
  const values = [...originals.values()]
  const matcher = watchFor(placeholders)
  return {
    isLenient: true,
    withholdsRepeats: false,
    holdsAll: false,
    whole: null,
    uninspected() {},
    media() {},
    watch: (spans, roleNow) =>
      placeholders.length === 0
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

/** What placeholders consist of between their brackets. */
const isInner = (byte: number): boolean => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f

/** Finds placeholders, which never overlap. Reports each under its index, in order. */
function watchFor(placeholders: readonly string[]): Matcher {
  const indexes = new Map(placeholders.map((placeholder, index) => [placeholder, index]))
  const longest = placeholders.reduce((most, { length }) => Math.max(most, length), 0)
  return (report) => {
    let at = 0
    let open = '' // what may become a placeholder
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; i++) {
          const byte = bytes[i]
          if (byte === OPEN) open = '['
          else if (open === '') continue
          else if (isInner(byte) && open.length < longest) open += String.fromCharCode(byte)
          else {
            const found = byte === CLOSE ? indexes.get(`${open}]`) : undefined
            const end = at + i - from + 1
            if (found !== undefined) report(end - placeholders[found].length, end, found)
            open = ''
          }
        }
        at += to - from
      },
      finish() {
        open = ''
      },
      get decided() {
        return at - open.length
      },
    }
  }
}
