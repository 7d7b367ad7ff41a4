import { keyBeginnings } from '../detectors/secrets.ts'
import { asciiOf, LETTER } from '../views/fold.ts'

/**
 * An ordinary word, between spaces, quotes and the like: what is found has none in it. After a number or a bracket, and after "at" or "dot", it may be
 * part of an account number or of an address that is spelled out.
 */
const WORD = /(?<=^|[\s"'`,{}()!?|])[A-Za-z][a-z]{2,14}(?=[\s"'`,;{}!?|]|[.:)]+[\s"'`,;])/g
const NOT_AFTER = /(?:[\d\x80-\xff]\S*(?:\s\S{1,3})?|[\])}>@]|\s\.|\b(?:at|dot|punkt|point|punto))\s*$/i
const NO_WORDS = new Set(['dot', 'punkt', 'point', 'punto'])
/** What stands between it and a word or number that cannot be "at" or "dot": the text is settled up to there. */
const NEXT = /^[.,;:!?"')\s]*\s(?=[b-ce-oq-zB-CE-OQ-Z])/
const BEFORE_BYTES_MAX = 32
/** Words are at most so long, with what stands around them. */
const REACH_BYTES_MAX = 40
const OTHER_LETTER = String.fromCharCode(LETTER)

/** After these a text is not settled for a while: an address in pieces, an account number in groups, an escape or a sign nobody sees among words. */
const NEAR =
  /@|[[({<]\s?at\s?[\])}>]|[A-Za-z]{2}\s?\d\d\s?[\dA-Za-z]|&[A-Za-z]{2,16};|&#|\\[^nrt"\\/]|%[\dA-Fa-f]{2}|=\r?\n|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xc2\xad/
const NEAR_BYTES = 64
/** After these for longer: a key in pieces, a private key, text spelled in tags, letters that run from right to left. */
const FAR = new RegExp(`${keyBeginnings()}|-----|BEGIN|\xf3\xa0|\xe2\x80\xae`)
const FAR_BYTES = 320
/** So many words are tried, the last first. */
const TRIED_MAX = 8

/**
 * Up to where a text is settled, whatever comes after: the beginning of its last ordinary word, or of what follows it, or the end of its last letter of
 * a script that has nothing in common with ASCII. `begin` where there is none beyond it; up to `searched` there was none.
 */
export function settledAt(text: Buffer, begin: number, searched: number): number {
  const from = Math.max(begin, searched - REACH_BYTES_MAX)
  const tail = text.toString('latin1', from)
  const words = [...tail.matchAll(WORD)].filter(({ 0: word, index }) => !(index === 0 && from > begin) && !NO_WORDS.has(word.toLowerCase()))
  const other = afterOtherLetter(text, from)
  const settled = other !== null && isCalm(text, other) ? other : begin
  for (const { 0: word, index } of words.slice(-TRIED_MAX).reverse()) {
    const start = from + index
    if (NOT_AFTER.test(text.toString('latin1', Math.max(0, start - BEFORE_BYTES_MAX), start)) || !isCalm(text, start)) continue
    const next = NEXT.exec(tail.slice(index + word.length, index + word.length + REACH_BYTES_MAX))?.[0].length
    return Math.max(settled, next === undefined ? start : start + word.length + next)
  }
  return settled
}

/** Whether nothing stands before that may go on beyond words. */
const isCalm = (text: Buffer, at: number): boolean =>
  !FAR.test(text.toString('latin1', Math.max(0, at - FAR_BYTES), at)) && !NEAR.test(text.toString('latin1', Math.max(0, at - NEAR_BYTES), at))

/** Where the last such letter beyond `from` ends. */
function afterOtherLetter(text: Buffer, from: number): number | null {
  for (let i = text.length - 1; i >= from; i--) {
    if (text[i] < 0xc0) continue
    const size = text[i] >= 0xf0 ? 4 : text[i] >= 0xe0 ? 3 : 2
    if (i + size > text.length) continue
    const codePoint = text.toString('utf8', i, i + size).codePointAt(0) ?? 0
    if (asciiOf(codePoint) === OTHER_LETTER) return i + size
  }
  return null
}
