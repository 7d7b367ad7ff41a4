/**
 * One pass over an ASCII text, in which every detector of a policy and every encoding finds its candidates: a run of digits, an @, the first two
 * characters of a word, a sign that begins an escape. What is found by looking closer costs only where there is something to look at.
 */
import { createShared } from '../matching/shared.ts'
import { type CodedRuns, noRuns, noteEscape, noteSpelled, noteWord } from '../views/coded-runs.ts'
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
import { findConnection, findSecret, indexSecrets, type SecretIndex } from './secrets.ts'
import { CONTEXT_BYTES_MAX, type ShapeReader, shapeReader } from './shapes.ts'
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

const nobody: Found = () => {}
const NO_RUNS = noRuns()
const sharedScanner = createShared<Scanner>()

/** Compiles the pass for these detectors; it finds nothing else, and always notes what may be encoded. */
export function scanFor(wanted: ReadonlySet<string>): Scan {
  const scanner = sharedScanner([...wanted].sort().join(), () => new Scanner(wanted))
  return (text, { from, to }, found, coded) => scanner.scan(text, from, to, found, coded)
}

/**
 * One for all texts of a policy, because functions made anew for each would have the loops that call them compiled anew. What is found must not lead to
 * another scan before this one is over.
 */
class Scanner {
  readonly #readShape: ShapeReader | null
  readonly #readChain: ReturnType<typeof chainReader> | null
  readonly #secrets: SecretIndex
  readonly #contexts: ReturnType<typeof indexContexts>
  readonly #cards: boolean
  readonly #phones: boolean
  readonly #emails: boolean
  readonly #ibans: boolean
  readonly #coins: boolean
  readonly #licences: boolean
  readonly #ips: boolean
  readonly #macs: boolean
  readonly #connections: boolean
  readonly #numbers: boolean
  /** By the first two characters of a word, a bit for each third one (its lowest five bits): one look tells nearly all words that nothing begins with them. */
  readonly #begins = new Int32Array(1 << 14)

  #text: Buffer = NOTHING
  #to = 0
  #found: Found = nobody
  #coded: CodedRuns = NO_RUNS
  // Up to where each family has already looked.
  #shapesDone = 0
  #chainsDone = 0
  #secretsDone = 0
  #addressesDone = 0
  // The last word, and the one before it.
  #wordStart = 0
  #wordEnd = 0
  #beforeStart = 0
  #beforeEnd = 0
  // What words before said of the numbers up to here.
  #phonesUntil = 0
  #birthsUntil = 0
  #namedUntil = 0

  constructor(wanted: ReadonlySet<string>) {
    const wants = (...names: readonly string[]): boolean => names.some((name) => wanted.has(name))
    const shapes = [...nationalIds, ...healthIds, ...routingNumbers, ...socialSecurityNumbers].filter(({ kind }) => wanted.has(kind))
    this.#readShape = shapes.length > 0 ? shapeReader(shapes) : null
    this.#readChain = wants('credit_card', 'phone') ? chainReader() : null
    this.#secrets = indexSecrets((kind) => wanted.has(kind))
    this.#cards = wants('credit_card')
    this.#phones = wants('phone')
    this.#emails = wants('email')
    this.#ibans = wants('iban')
    this.#coins = wants('crypto_address')
    this.#licences = wants('driving_licence')
    this.#ips = wants('ip_address')
    this.#macs = wants('mac_address')
    this.#connections = wants('connection_string')
    const births = wants('birth_date')
    const named = wants('passport', 'driving_licence', 'medical_record_number')
    this.#contexts = indexContexts((this.#phones ? PHONE : 0) | (births ? BIRTH : 0) | (named ? NAMED : 0))
    this.#numbers = this.#readShape !== null || this.#readChain !== null || this.#ibans || births || named || this.#ips
    const note = (pair: number, third: number): void => {
      this.#begins[pair] |= Number.isNaN(third) ? -1 : 1 << third
    }
    for (const [pair, secrets] of this.#secrets)
      for (const { begins } of secrets) for (const begin of begins) if (pairAt(begin[0], begin[1]) === pair) note(pair, begin[2] ?? Number.NaN)
    for (const [pair, words] of this.#contexts) for (const { begin } of words) note(pair, begin.charCodeAt(2))
    if (this.#emails) for (const pair of ['at', 'At', 'aT', 'AT']) note(pairAt(pair.charCodeAt(0), pair.charCodeAt(1)), Number.NaN)
  }

  scan(text: Buffer, from: number, to: number, found: Found, coded: CodedRuns): void {
    this.#text = text
    this.#to = to
    this.#found = found
    this.#coded = coded
    this.#shapesDone = this.#chainsDone = this.#secretsDone = this.#addressesDone = from
    this.#wordStart = this.#wordEnd = this.#beforeStart = this.#beforeEnd = from
    // What stands before all of this may have said anything.
    this.#phonesUntil = this.#birthsUntil = this.#namedUntil = from > 0 ? from + CONTEXT_BYTES_MAX : 0
    this.#read(text, from, to)
    // It outlives those it scans for.
    this.#text = NOTHING
    this.#found = nobody
    this.#coded = NO_RUNS
  }

  #read(text: Buffer, from: number, to: number): void {
    const kindOf = kinds
    const begins = this.#begins
    let i = from
    let sign = 0 // the kind of the byte before the word
    let start = from
    let end = from
    let beforeStart = from
    let beforeEnd = from
    while (i < to) {
      // Most words and what parts them lead to the next and nothing else: that loop calls nothing.
      let kind = 0
      let mix = 0
      let pair = 0
      while (i < to) {
        kind = kindOf[text[i]]
        mix = kind & WORD
        if (mix === 0) {
          if (kind === SIGN) break
          sign = kind
          i++
          continue
        }
        beforeStart = start
        beforeEnd = end
        start = i++
        while (i < to && ((kind = kindOf[text[i]]) & WORD) !== 0) {
          mix |= kind
          i++
        }
        end = i
        pair = pairAt(text[start], text[start + 1])
        const length = end - start
        if (
          (mix & (DIGIT | JOINT)) !== 0 ||
          length === 1 ||
          length >= LONG_WORD_BYTES ||
          ((begins[pair] >>> text[start + 2]) & 1) === 1 ||
          sign === PLUS ||
          kind === PLUS ||
          start === from
        )
          break
        sign = 0
        mix = 0
      }
      this.#wordStart = start
      this.#wordEnd = end
      if (mix !== 0) {
        this.#beforeStart = beforeStart
        this.#beforeEnd = beforeEnd
        // A word may go on beyond + and /, which base64 has.
        if (end - start >= LONG_WORD_BYTES || sign === PLUS || (kind === PLUS && end < to)) noteWord(this.#coded, text, start, end)
        sign = 0
        if (start === from && from > 0 && (kindOf[text[from - 1]] & WORD) !== 0) {
          this.#onRest(start, end)
          continue
        }
        if (((begins[pair] >>> text[start + 2]) & 1) === 1) this.#onBeginning(start, end, pair)
        if ((mix & (DIGIT | JOINT)) !== 0 || end - start === 1 || end - start >= LONG_WORD_BYTES) this.#onWord(start, end, mix)
      } else if (kind === SIGN && i < to) {
        this.#onSign(i++)
        sign = SIGN
      }
    }
  }

  #onSign(at: number): void {
    const text = this.#text
    if (text[at] === COLON) this.#onColon(at)
    else if (text[at] !== AT) noteEscape(this.#coded, text, at, this.#to)
    else if (this.#emails) findEmail(text, at, this.#to, this.#found)
  }

  /** The rest of a word that began before is no word, but a number or a key may still be joined to it. */
  #onRest(start: number, end: number): void {
    const text = this.#text
    let rest = start
    while (rest < end && (kinds[text[rest]] & DIGIT) !== 0) rest++
    let restMix = 0
    for (let at = rest; at < end; at++) restMix |= kinds[text[at]]
    if ((restMix & JOINT) !== 0) this.#onWord(rest, end, restMix)
    else if (this.#readChain && (restMix & DIGIT) !== 0) this.#tryChains(rest, end)
  }

  #onWord(start: number, end: number, mix: number): void {
    const text = this.#text
    const length = end - start
    if (mix & DIGIT && this.#numbers) this.#onNumber(start, end, mix)
    if (mix & JOINT) {
      for (let i = start + 1; i + 2 < end; i++) {
        if (kinds[text[i - 1]] !== JOINT) continue
        const pair = pairAt(text[i], text[i + 1])
        if (((this.#begins[pair] >>> text[i + 2]) & 1) === 1) this.#onBeginning(i, end, pair)
      }
      if (length > 2 && (kinds[text[start + 1]] === JOINT || kinds[text[start + 2]] === JOINT)) noteSpelled(this.#coded, text, start, this.#to)
    }
    if (length >= LONG_WORD_BYTES) {
      if (this.#coins && length >= COIN_BYTES_MIN) findCoin(text, start, end, this.#found)
      if (this.#macs && length === MAC_BYTES && text[start + 2] === DASH) findMac(text, start, this.#to, this.#found)
    } else if (length === 1 || (mix & DIGIT && (length === 2 || length === 4 || length === 8))) noteSpelled(this.#coded, text, start, this.#to)
  }

  #onBeginning(start: number, end: number, pair: number): void {
    const text = this.#text
    const keys = this.#secrets.get(pair)
    if (keys && start >= this.#secretsDone) this.#secretsDone = findSecret(keys, text, start, this.#to, this.#found)
    const context = this.#contexts.get(pair)
    const about = context ? contextAt(context, text, start) : 0
    if (about & PHONE) this.#phonesUntil = end + CONTEXT_BYTES_MAX
    if (about & BIRTH) this.#birthsUntil = end + CONTEXT_BYTES_MAX
    if (about & NAMED) this.#namedUntil = end + CONTEXT_BYTES_MAX
    if (this.#emails && end - start === 2 && (text[start] | 0x20) === 0x61 && (text[start + 1] | 0x20) === 0x74)
      findSpokenEmail(text, start, { end, to: this.#to }, this.#found)
  }

  #onNumber(start: number, end: number, mix: number): void {
    const text = this.#text
    const to = this.#to
    const length = end - start
    if (this.#readChain && end > this.#chainsDone) this.#tryChains(start, end)
    if (this.#ibans || this.#readShape) {
      // Two letters may stand apart from their number.
      if (this.#beforeEnd === start - 1 && this.#beforeEnd - this.#beforeStart === 2 && text[this.#beforeEnd] === 0x20) this.#tryShapes(this.#beforeStart)
      this.#tryShapes(start)
      // A name may stand right before its number: SSN123-45-6789.
      let digit = start
      while (!isDigit(text[digit])) digit++
      if (digit > start && kinds[text[digit - 1]] & LETTERS) this.#tryShapes(digit)
      if (this.#ibans && digit - start > 2) findIban(text, digit - 2, to, this.#found)
      if (mix & JOINT) for (let i = start + 1; i < end; i++) if (kinds[text[i - 1]] === JOINT) this.#tryShapes(i)
    }
    if (this.#ips && text[end] === 0x2e && length <= 3) findIpv4(text, start, to, this.#found)
    if (start < this.#birthsUntil && length <= 10) findBirthDate(text, start, to, this.#found)
    if (start < this.#namedUntil && (length !== 3 || mix & JOINT)) findNamedNumber(text, start, to, this.#found)
    if (this.#licences && length === DVLA_BYTES) findDriverNumber(text, start, end, this.#found)
  }

  #tryShapes(start: number): void {
    if (start < this.#shapesDone) return
    const iban = this.#ibans ? findIban(this.#text, start, this.#to, this.#found) : start
    const shape = this.#readShape && iban === start ? this.#readShape(this.#text, start, this.#to, this.#found) : start
    const end = Math.max(iban, shape)
    if (end > start) this.#shapesDone = end
  }

  #tryChains(start: number, end: number): void {
    const text = this.#text
    for (let i = Math.max(start, this.#chainsDone); i < end; i++) {
      if (!isDigit(text[i])) continue
      let last = i
      while (last + 1 < end && isDigit(text[last + 1])) last++
      // Digits between letters are part of a name.
      const isInside = i > start && kinds[text[i - 1]] & LETTERS && last + 1 < end && kinds[text[last + 1]] & LETTERS
      if (!isInside && this.#readChain) {
        const chain = this.#readChain(text, i, this.#to)
        if (this.#cards && chain.count >= CARD_DIGITS_MIN) findCards(chain, text, this.#found)
        if (this.#phones && chain.count >= PHONE_DIGITS_MIN) findPhones(chain, text, i < this.#phonesUntil, this.#found)
        this.#chainsDone = chain.next
        last = Math.max(last, chain.next - 1)
      }
      i = last
    }
  }

  #onColon(at: number): void {
    const text = this.#text
    const to = this.#to
    if (text[at + 1] === SLASH) {
      if (this.#connections && text[at + 2] === SLASH) findConnection(text, at, to, this.#found)
      return
    }
    if ((!this.#ips && !this.#macs) || at < this.#addressesDone) return
    const start = this.#wordEnd === at && at - this.#wordStart <= IPV6_GROUP_BYTES_MAX ? this.#wordStart : at
    if (this.#macs && at - start === 2) findMac(text, start, to, this.#found)
    if (this.#ips && (start < at || text[at + 1] === COLON)) findIpv6(text, start, to, this.#found)
    let done = at + 1
    while (done < to && (text[done] === COLON || kinds[text[done]] & (DIGIT | LETTERS))) done++
    this.#addressesDone = done
  }
}

const NOTHING = Buffer.alloc(0)
