/**
 * One pass over an ASCII text, in which every detector of a policy and every encoding finds its candidates: a run of digits, an @, the first two
 * characters of a word, a sign that begins an escape. What is found by looking closer costs only where there is something to look at.
 */
import { type CodedRuns, noteEscape, noteSpelled, noteWord } from '../views/coded-runs.ts'
import { COIN_BYTES_MIN, findCoin, findIpv4, findIpv6, findMac } from './addresses.ts'
import { DIGITS_MIN as CARD_DIGITS_MIN, findCards } from './cards.ts'
import { DIGIT, isDigit, JOINT, kinds, LETTERS, PLUS, pairAt, SIGN, WORD } from './characters.ts'
import { BIRTH, contextAt, indexContexts, NAMED, PHONE } from './context-words.ts'
import { chainReader } from './digit-chain.ts'
import { findEmail, findSpokenEmail } from './email.ts'
import type { Found } from './found.ts'
import { healthIds } from './health-ids.ts'
import { findIban } from './iban.ts'
import { findBirthDate, findDriverNumber, findNamedNumber } from './named-numbers.ts'
import { nationalIds } from './national-ids.ts'
import { findPhones, DIGITS_MIN as PHONE_DIGITS_MIN } from './phone.ts'
import { routingNumbers } from './routing-numbers.ts'
import { findConnection, findSecret, indexSecrets } from './secrets.ts'
import { CONTEXT_BYTES_MAX, shapeReader } from './shapes.ts'
import { socialSecurityNumbers } from './ssn.ts'

/** Reads `text` from `from` to `to`, looking back beyond `from` for what stands before. The runs in which something may be encoded go to `coded`. */
export type Scan = (text: Buffer, range: { from: number; to: number }, found: Found, coded: CodedRuns) => void

const COLON = 0x3a
const SLASH = 0x2f
const DASH = 0x2d
const AT = 0x40
/** Such a word may be base64. */
const LONG_WORD_BYTES = 12
const IPV6_GROUP_BYTES_MAX = 4
const MAC_BYTES = 17
const DVLA_BYTES = 16

/** Compiles the pass for these detectors; it finds nothing else, and always notes what may be encoded. */
export function scanFor(wanted: ReadonlySet<string>): Scan {
  const wants = (...names: readonly string[]): boolean => names.some((name) => wanted.has(name))
  const shapes = [...nationalIds, ...healthIds, ...routingNumbers, ...socialSecurityNumbers].filter(({ kind }) => wanted.has(kind))
  const readShape = shapes.length > 0 ? shapeReader(shapes) : null
  const readChain = wants('credit_card', 'phone') ? chainReader() : null
  const secrets = indexSecrets((kind) => wanted.has(kind))
  const [cards, phones, emails, ibans, coins] = ['credit_card', 'phone', 'email', 'iban', 'crypto_address'].map((name) => wanted.has(name))
  const [births, licences, ips, macs, connections] = ['birth_date', 'driving_licence', 'ip_address', 'mac_address', 'connection_string'].map((name) =>
    wanted.has(name),
  )
  const named = wants('passport', 'driving_licence', 'medical_record_number')
  const contexts = indexContexts((phones ? PHONE : 0) | (births ? BIRTH : 0) | (named ? NAMED : 0))
  const numbers = readShape !== null || readChain !== null || ibans || births || named || ips
  // One look tells nearly all words that nothing begins with them.
  const begins = new Uint8Array(1 << 14)
  for (const pair of [...secrets.keys(), ...contexts.keys()]) begins[pair] = 1
  if (emails) for (const pair of ['at', 'At', 'aT', 'AT']) begins[pairAt(pair.charCodeAt(0), pair.charCodeAt(1))] = 1

  return (text, { from, to }, found, coded) => {
    // Up to where each family has already looked.
    let shapesDone = from
    let chainsDone = from
    let secretsDone = from
    let addressesDone = from
    // The last word, and the one before it.
    let wordStart = from
    let wordEnd = from
    let beforeStart = from
    let beforeEnd = from
    // What words before said of the numbers up to here. What stands before all of this may have said anything.
    let phonesUntil = from > 0 ? from + CONTEXT_BYTES_MAX : 0
    let birthsUntil = phonesUntil
    let namedUntil = phonesUntil

    const tryShapes = (start: number): void => {
      if (start < shapesDone) return
      const iban = ibans ? findIban(text, start, to, found) : start
      const shape = readShape && iban === start ? readShape(text, start, to, found) : start
      const end = Math.max(iban, shape)
      if (end > start) shapesDone = end
    }
    const tryChains = (start: number, end: number): void => {
      for (let i = Math.max(start, chainsDone); i < end; i++) {
        if (!isDigit(text[i])) continue
        let last = i
        while (last + 1 < end && isDigit(text[last + 1])) last++
        // Digits between letters are part of a name.
        const isInside = i > start && kinds[text[i - 1]] & LETTERS && last + 1 < end && kinds[text[last + 1]] & LETTERS
        if (!isInside && readChain) {
          const chain = readChain(text, i, to)
          if (cards && chain.count >= CARD_DIGITS_MIN) findCards(chain, text, found)
          if (phones && chain.count >= PHONE_DIGITS_MIN) findPhones(chain, text, i < phonesUntil, found)
          chainsDone = chain.next
          last = Math.max(last, chainsDone - 1)
        }
        i = last
      }
    }
    const onNumber = (start: number, end: number, mix: number): void => {
      const length = end - start
      if (readChain && end > chainsDone) tryChains(start, end)
      if (ibans || readShape) {
        // Two letters may stand apart from their number.
        if (beforeEnd === start - 1 && beforeEnd - beforeStart === 2 && text[beforeEnd] === 0x20) tryShapes(beforeStart)
        tryShapes(start)
        // A name may stand right before its number: SSN123-45-6789.
        let digit = start
        while (!isDigit(text[digit])) digit++
        if (digit > start && kinds[text[digit - 1]] & LETTERS) tryShapes(digit)
        if (ibans && digit - start > 2) findIban(text, digit - 2, to, found)
        if (mix & JOINT) for (let i = start + 1; i < end; i++) if (kinds[text[i - 1]] === JOINT) tryShapes(i)
      }
      if (ips && text[end] === 0x2e && length <= 3) findIpv4(text, start, to, found)
      if (start < birthsUntil && length <= 10) findBirthDate(text, start, to, found)
      if (start < namedUntil && (length !== 3 || mix & JOINT)) findNamedNumber(text, start, to, found)
      if (licences && length === DVLA_BYTES) findDriverNumber(text, start, end, found)
    }
    const onBeginning = (start: number, end: number, pair: number): void => {
      const keys = secrets.get(pair)
      if (keys && start >= secretsDone) secretsDone = findSecret(keys, text, start, to, found)
      const context = contexts.get(pair)
      const about = context ? contextAt(context, text, start) : 0
      if (about & PHONE) phonesUntil = end + CONTEXT_BYTES_MAX
      if (about & BIRTH) birthsUntil = end + CONTEXT_BYTES_MAX
      if (about & NAMED) namedUntil = end + CONTEXT_BYTES_MAX
      if (emails && end - start === 2 && (text[start] | 0x20) === 0x61 && (text[start + 1] | 0x20) === 0x74) findSpokenEmail(text, start, { end, to }, found)
    }
    const onColon = (at: number): void => {
      if (text[at + 1] === SLASH) {
        if (connections && text[at + 2] === SLASH) findConnection(text, at, to, found)
        return
      }
      if ((!ips && !macs) || at < addressesDone) return
      const start = wordEnd === at && at - wordStart <= IPV6_GROUP_BYTES_MAX ? wordStart : at
      if (macs && at - start === 2) findMac(text, start, to, found)
      if (ips && (start < at || text[at + 1] === COLON)) findIpv6(text, start, to, found)
      addressesDone = at + 1
      while (addressesDone < to && (text[addressesDone] === COLON || kinds[text[addressesDone]] & (DIGIT | LETTERS))) addressesDone++
    }
    const onWord = (start: number, end: number, mix: number): void => {
      const length = end - start
      if (mix & DIGIT && numbers) onNumber(start, end, mix)
      if (mix & JOINT) {
        for (let i = start + 1; i + 2 < end; i++) {
          if (kinds[text[i - 1]] !== JOINT) continue
          const pair = pairAt(text[i], text[i + 1])
          if (begins[pair] === 1) onBeginning(i, end, pair)
        }
        if (length > 2 && (kinds[text[start + 1]] === JOINT || kinds[text[start + 2]] === JOINT)) noteSpelled(coded, text, start, to)
      }
      if (length >= LONG_WORD_BYTES) {
        if (coins && length >= COIN_BYTES_MIN) findCoin(text, start, end, found)
        if (macs && length === MAC_BYTES && text[start + 2] === DASH) findMac(text, start, to, found)
      } else if (length === 1 || (mix & DIGIT && (length === 2 || length === 4 || length === 8))) noteSpelled(coded, text, start, to)
    }

    let i = from
    let sign = 0 // the kind of the byte before the word
    while (i < to) {
      let kind = kinds[text[i]]
      if ((kind & WORD) === 0) {
        if (kind === SIGN) {
          if (text[i] === COLON) onColon(i)
          else if (text[i] !== AT) noteEscape(coded, text, i, to)
          else if (emails) findEmail(text, i, to, found)
        }
        sign = kind
        i++
        continue
      }
      const start = i
      let mix = kind
      i++
      while (i < to && ((kind = kinds[text[i]]) & WORD) !== 0) {
        mix |= kind
        i++
      }
      beforeStart = wordStart
      beforeEnd = wordEnd
      wordStart = start
      wordEnd = i
      const length = i - start
      // A word may go on beyond + and /, which base64 has.
      if (length >= LONG_WORD_BYTES || sign === PLUS || (i < to && kind === PLUS)) noteWord(coded, text, start, i)
      sign = 0
      // The rest of a word that began before is no word.
      if (start === from && from > 0 && (kinds[text[from - 1]] & WORD) !== 0) {
        // A number or a key may still be joined to it.
        let rest = start
        while (rest < i && (kinds[text[rest]] & DIGIT) !== 0) rest++
        let restMix = 0
        for (let at = rest; at < i; at++) restMix |= kinds[text[at]]
        if ((restMix & JOINT) !== 0) onWord(rest, i, restMix)
        else if (readChain && (restMix & DIGIT) !== 0) tryChains(rest, i)
        continue
      }
      const pair = pairAt(text[start], text[start + 1])
      if (begins[pair] === 1) onBeginning(start, i, pair)
      if ((mix & (DIGIT | JOINT)) !== 0 || length === 1 || length >= LONG_WORD_BYTES) onWord(start, i, mix)
    }
  }
}
