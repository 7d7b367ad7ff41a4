import { isAlphanumeric, textOf } from './characters.ts'
import type { Found } from './found.ts'

/** RFC 5321, 4.5.3.1. */
const LOCAL_BYTES_MAX = 64
const DOMAIN_BYTES_MAX = 255
const SPOKEN_BYTES_MAX = 320
/** Room for dots in words before the @. */
const SPOKEN_MORE_BYTES = 24
const SLASH = 0x2f
const UNDERSCORE = 0x5f
const BACKSLASH = 0x5c

/** What is written in practice; RFC 5322 allows more, which mostly is the program around an address. */
const local = Uint8Array.from({ length: 128 }, (_, byte) => (/[\w.%+'-]/.test(String.fromCharCode(byte)) ? 1 : 0))

/** Labels, of which the last is two letters or more. What stands after that, such as the full stop of a sentence, is not part of it. */
const DOMAIN = /^(?:[a-z\d-]+(?:\.|\s?[[({<]\s?(?:dot|\.)\s?[\])}>]\s?))+[a-z]{2,}(?![a-z\d])/i
/** What follows the @ in the name of a file for dense screens (icon@2x.png), and in an address of a repository for SSH (git@host:path). */
const NO_DOMAIN = /^\d+x\.|\.(?:png|jpe?g|gif|svg|webp|js|mjs|cjs|css|json|html)$/i

/** E-mail addresses in ASCII: up to 64 bytes before the @, which stands at `at`, and 255 after it. */
export function findEmail(text: Buffer, at: number, to: number, found: Found): void {
  let begin = at
  while (begin > 0 && at - begin <= LOCAL_BYTES_MAX && local[text[begin - 1]] === 1) begin--
  if (at - begin > LOCAL_BYTES_MAX) return
  begin = afterEscape(text, begin, at)
  // What stands before the first letter or digit is a quote, a dot or a sign of a program.
  while (begin < at && !isAlphanumeric(text[begin]) && text[begin] !== UNDERSCORE) begin++
  if (begin >= at) {
    findSpokenEmail(text, at, { end: at + 1, to }, found)
    return
  }
  if (text[at - 1] === SLASH) return
  const domain = DOMAIN.exec(textOf(text, at + 1, Math.min(to, at + 1 + DOMAIN_BYTES_MAX)))?.[0]
  if (domain === undefined || NO_DOMAIN.test(domain)) return
  const end = at + 1 + domain.length
  if (text[end] === 0x3a && textOf(text, begin, at) === 'git') return
  found(begin, end, 'email')
}

/** An escape right before an address, such as the \n of a program or %22, is no part of it. */
function afterEscape(text: Buffer, begin: number, at: number): number {
  if (text[begin - 1] === BACKSLASH && /[nrtbf]/.test(String.fromCharCode(text[begin]))) return begin + 1
  let i = begin
  while (i < at && /^%[\da-f]{2}/i.test(textOf(text, i, i + 3))) i += 3
  return i
}

const BEFORE = /[\w.+-]{1,64}(?:\s?[[({<]?\s?(?:dot|punkt|point|punto)\s?[\])}>]?\s?[\w+-]{1,64}){0,3}\s{0,2}[[({<\x1f]?\s?$/i
const AFTER =
  /^\s?[\])}>]?\s{0,2}[a-z\d-]{1,63}(?:(?:\s{0,2}[[({<\x1f]\s?(?:dot|punkt|point|punto|\.)\s?[\])}>\x1f]\s{0,2}|\s(?:dot|punkt|point|punto)\s|\s\.\s?|\.)[a-z\d-]{1,63}){1,4}/i
const IN_BRACKETS = /[[({<\x1f]\s?$/
const LAST_LABEL = /[^a-z\d][a-z]{2,}$/i
/** Only these make two ordinary words with "at" between them an address. */
const SPOKEN_DOMAIN = /(?:\sdot\s|\.)\s?(?:com|org|net|edu|gov|io|info|de|fr|uk|es|it|eu|ch|at|nl|pl|se|br|in|ca)$/i

/** Addresses written so that programs do not see them: jane [at] example [dot] com. The word or sign for @ lies from `start` to `end`. */
export function findSpokenEmail(text: Buffer, start: number, { end, to }: { end: number; to: number }, found: Found): void {
  const before = BEFORE.exec(textOf(text, start - LOCAL_BYTES_MAX - SPOKEN_MORE_BYTES, start))?.[0]
  const after = AFTER.exec(textOf(text, end, Math.min(to, end + SPOKEN_BYTES_MAX)))?.[0]
  if (before === undefined || after === undefined || !/\w/.test(before) || !LAST_LABEL.test(after)) return
  const isSign = end - start === 1
  const isMeant = IN_BRACKETS.test(before)
    ? /^\s?[\])}>\x1f]/.test(after)
    : SPOKEN_DOMAIN.test(after) && (isSign ? /^\s|\s$/.test(before.slice(-1) + after[0]) : /\s$/.test(before) && /^\s/.test(after) && /\sdot\s/i.test(after))
  if (isMeant) found(start - before.length, end + after.length, 'email')
}
