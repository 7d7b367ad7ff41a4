/** Words that say what a number after them is, by how they begin. Noted in passing, so that only numbers near one are looked at for it. */
import { pairAt } from './characters.ts'

export const PHONE = 1
export const BIRTH = 2
export const NAMED = 4

const words: readonly [about: number, begin: string][] = [
  ...'tel phone mobil cell fax whatsapp movil handy rufn portable'.split(' ').map((word): [number, string] => [PHONE, word]),
  ...'born birth dob d.o dateofbirth geb ne naiss nac nasc nat urodz fodelse'.split(' ').map((word): [number, string] => [BIRTH, word]),
  ...'pass reisepass pasaporte ausweis personalaus identi carte carnet dl dln driv licen fuhrer permi patent mrn medical health patien hospital chart numero dossier historia fallnummer'
    .split(' ')
    .map((word): [number, string] => [NAMED, word]),
]

/** By the first two characters in any case: the words that may begin there. */
export type ContextIndex = ReadonlyMap<number, readonly { about: number; begin: string }[]>

/** The words of these kinds (bits). */
export function indexContexts(about: number): ContextIndex {
  const index = new Map<number, { about: number; begin: string }[]>()
  for (const [kind, begin] of words) {
    if ((kind & about) === 0) continue
    const [a, b] = [begin[0], begin[1]]
    const pairs = new Set([a, a.toUpperCase()].flatMap((first) => [b, b.toUpperCase()].map((second) => pairAt(first.charCodeAt(0), second.charCodeAt(0)))))
    for (const pair of pairs) index.set(pair, [...(index.get(pair) ?? []), { about: kind, begin }])
  }
  return index
}

/** What the word at `start` says of the numbers after it (bits); 0 for most words. */
export function contextAt(candidates: readonly { about: number; begin: string }[], text: Buffer, start: number): number {
  let about = 0
  for (const one of candidates) if (beginsWith(text, start, one.begin)) about |= one.about
  return about
}

function beginsWith(text: Buffer, start: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) {
    const byte = text[start + i]
    if ((byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte) !== word.charCodeAt(i)) return false
  }
  return true
}
