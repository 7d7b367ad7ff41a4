/** What coded runs say once they are decoded. */
import { isUtf8 } from 'node:buffer'
import { BLOCK_BYTES_MIN, type CodedRuns, ESCAPE_GAP_MAX, type Run } from './coded-runs.ts'
import { mappedView, type ViewPart, wholeView } from './mapped-view.ts'
import type { View } from './view.ts'

/** Every view of what the pass noted between `from` and `to`. The text is ASCII; a view need not be. */
export function codedViews(text: Buffer, { from, to }: { from: number; to: number }, { escapes, blocks, spelled }: CodedRuns): View[] {
  const views: View[] = []
  for (const run of escapes) {
    const view = unescaped(text, Math.max(from, run.start - ESCAPE_GAP_MAX), Math.min(to, run.end + ESCAPE_BYTES_MAX + ESCAPE_GAP_MAX))
    if (view) views.push(view)
  }
  for (const lines of wrappedBlocks(text, blocks)) for (const view of decodedLines(text, lines, to)) views.push(view)
  for (const run of spelled) {
    if (!run.isHex) views.push(joined(text, run))
    else {
      const bytes = Buffer.from(text.toString('latin1', run.start, run.end).replaceAll(run.sign, '').replaceAll(/0x/gi, ''), 'hex')
      if (isProbablyText(bytes)) views.push(wholeView(withoutNulls(bytes), run))
    }
  }
  return views
}

const ESCAPE_BYTES_MAX = 12
const ESCAPE =
  /(%(?:25)+)(?=[\da-f]{2})|((?:%[\da-f]{2})+)|&#x0*([\da-f]{1,6})(?:;|(?![\da-f]))|&#0*(\d{1,7})(?:;|(?!\d))|(&(?:amp;)+)|&([a-z]{2,16});|\\{1,16}[ux]\{0*([\da-f]{1,6})\}|\\{1,16}U([\da-f]{8})|((?:(?:\\{1,16}|%)u[\da-f]{4})+)|((?:\\{1,16}x[\da-f]{2})+)|\\{1,16}([0-3][0-7]{2})|((?:=[\dA-F]{2})+)|=[ \t]{0,8}\r?\n|<\/?(?:b|i|u|s|em|strong|span|wbr|br|sup|sub|code|mark|small)\s?\/?>|\x1b\[[\d;]{0,12}m|\\{1,16}(?:\r?\n|([nrt"'/]))/gi
/** The named entities of HTML that stand for signs of numbers and addresses, or for nothing anybody sees. */
const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  commat: '@',
  period: '.',
  comma: ',',
  colon: ':',
  semi: ';',
  sol: '/',
  bsol: '\\',
  lowbar: '_',
  num: '#',
  hyphen: '-',
  dash: '-',
  ndash: '-',
  mdash: '-',
  plus: '+',
  equals: '=',
  percnt: '%',
  dollar: '$',
  excl: '!',
  quest: '?',
  ast: '*',
  lpar: '(',
  rpar: ')',
  lsqb: '[',
  rsqb: ']',
  nbsp: ' ',
  ensp: ' ',
  emsp: ' ',
  thinsp: ' ',
  tab: ' ',
  newline: '\n',
  shy: '',
  zerowidthspace: '',
  hairsp: ' ',
  numsp: ' ',
  puncsp: ' ',
  zwj: '',
  zwnj: '',
  lrm: '',
  rlm: '',
  nobreak: '',
}

/** Escapes resolved; null where what looked like some are none. Each byte stands for its character of the text, or for the whole run of escapes that it comes from. */
function unescaped(text: Buffer, from: number, to: number): View | null {
  const source = text.toString('latin1', from, to)
  const parts: ViewPart[] = []
  let run: Buffer[] = [] // what the open run of escapes says
  let runStart = 0
  let at = 0
  const endRun = (): void => {
    if (run.length > 0) parts.push({ bytes: run.length === 1 ? run[0] : Buffer.concat(run), start: from + runStart, end: from + at, isRun: true })
    run = []
  }
  for (const match of source.matchAll(ESCAPE)) {
    const meaning = meaningOf(match)
    if (meaning === null) continue
    const start = match.index
    // The escapes of JSON and of programs, such as \n, are no code: what stands beside them is a run of its own.
    const isSimple = match.at(-1) !== undefined
    if (start > at || run.length === 0 || isSimple) {
      endRun()
      if (start > at) parts.push({ bytes: text.subarray(from + at, from + start), start: from + at, end: from + start, isRun: false })
      runStart = start
    }
    run.push(typeof meaning === 'string' ? Buffer.from(meaning) : meaning)
    at = start + match[0].length
    if (isSimple) endRun()
  }
  if (at === 0) return null
  endRun()
  if (at < source.length) parts.push({ bytes: text.subarray(from + at, to), start: from + at, end: to, isRun: false })
  return mappedView(parts)
}

const SIMPLE: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** Null for what only looks like an escape. */
function meaningOf([, percent, percents, entityHex, entity, ampersand, name, braced, long, units, bytes, octal, quoted, simple]: RegExpMatchArray):
  | string
  | Buffer
  | null {
  // A sign that was escaped again and again.
  if (percent !== undefined) return '%'
  if (ampersand !== undefined) return '&'
  const hex = percents ?? bytes ?? quoted
  if (hex !== undefined) return Buffer.from(hex.replaceAll(/[%=]|\\+x/gi, ''), 'hex')
  if (units !== undefined)
    return String.fromCharCode(
      ...units
        .split(/[^\da-f]+/i)
        .slice(1)
        .map((unit) => Number.parseInt(unit, 16)),
    )
  if (octal !== undefined) return Buffer.from([Number.parseInt(octal, 8)])
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? null
  if (simple !== undefined) return SIMPLE[simple] ?? simple
  const written = entityHex ?? braced ?? long
  if (written === undefined && entity === undefined) return '' // a line that goes on, or what nobody sees
  const codePoint = written === undefined ? Number(entity) : Number.parseInt(written, 16)
  return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : null
}

/** Letters that were spelled out, put together: what stands between all of them is gone, and a longer gap is a space. */
function joined(text: Buffer, { start, end, sign }: Run & { sign: string }): View {
  const parts: ViewPart[] = []
  const source = text.toString('latin1', start, end)
  for (const { 0: letter, 1: gap, index } of source.matchAll(/[0-9A-Za-z]([^0-9A-Za-z]*)/g)) {
    const at = start + index
    parts.push({ bytes: Buffer.from(letter[0]), start: at, end: at + 1, isRun: false })
    let between = gap.startsWith(sign) ? gap.slice(sign.length) : gap
    if (between.endsWith(sign)) between = between.slice(0, -sign.length)
    if (gap.length > sign.length)
      parts.push({ bytes: Buffer.from(between.trim() === '' ? ' ' : between.trim()), start: at + 1, end: at + 1 + gap.length, isRun: true })
  }
  return mappedView(parts)
}

/** What parts two lines of a block that was wrapped, with the first byte of the next; in JSON within a string that is the n of its escape. */
const LINE_BREAK = /^={0,2}["',+\\ ]{0,4}(?:\r?\n[\s>#|*/"'+]{0,16}.|(?:\\r)?\\n)$/s
const LINE_BREAK_BYTES_MAX = 24
/** Its last line may be short. */
const LAST_LINE = /^(?:(?:\r?\n|\\r\\n|\\n)[ \t>]{0,8}[0-9A-Za-z+/_-]{2,16}(?![0-9A-Za-z+/_-]))?={0,2}/
const LAST_LINE_BYTES_MAX = 48
const WRAPPED_BYTES_MAX = 1 << 20
const HEX = /^(?:0x)?((?:[\da-f]{2}){7,})$/i
/** Characters at the beginning, in the middle and at the end of a block that are looked at before it is decoded. */
const SAMPLE = 8

/** Blocks that are the lines of one belong together. */
function wrappedBlocks(text: Buffer, blocks: readonly Run[]): Run[][] {
  const all: Run[][] = []
  for (const block of blocks) {
    if (block.end - block.start < BLOCK_BYTES_MIN) continue
    const lines = all.at(-1)
    const last = lines?.at(-1)
    const isNext =
      lines &&
      last &&
      block.start - last.end <= LINE_BREAK_BYTES_MAX &&
      block.end - lines[0].start <= WRAPPED_BYTES_MAX &&
      LINE_BREAK.test(text.toString('latin1', last.end, block.start + 1))
    if (isNext) lines.push(block)
    else all.push([block])
  }
  return all
}

/** What lines say as one; where that is no text, what each says by itself. */
function decodedLines(text: Buffer, lines: readonly Run[], to: number): View[] {
  const end = lines[lines.length - 1].end
  const rest = LAST_LINE.exec(text.toString('latin1', end, Math.min(to, end + LAST_LINE_BYTES_MAX)))?.[0].length ?? 0
  const together = decodedBlock(text, { start: lines[0].start, end: end + rest })
  return together.length > 0 || (lines.length === 1 && rest === 0) ? together : lines.flatMap((line) => decodedBlock(text, line))
}

/** Base64, also its other alphabet, wrapped or begun in the middle of a word; or hexadecimal. Only what may be a text. */
function decodedBlock(text: Buffer, run: Run): View[] {
  const written = text.toString('latin1', run.start, run.end)
  const views: View[] = []
  const compact = written.replaceAll(/\\r|\\n|[^0-9A-Za-z+/=_-]/g, '')
  const hex = HEX.exec(compact)?.[1]
  if (hex !== undefined) {
    const bytes = Buffer.from(hex, 'hex')
    if (isProbablyText(bytes)) views.push(wholeView(withoutNulls(bytes), run))
  }
  for (let shift = 0; shift < 4; shift++) {
    if (!isWorthDecoding(compact, shift)) continue
    const bytes = Buffer.from(shift === 0 ? compact : compact.slice(shift), 'base64')
    if (isProbablyText(bytes)) views.push(wholeView(withoutNulls(bytes), run))
  }
  return views
}

const value = new Int8Array(128).fill(-1)
for (let i = 0; i < 64; i++) value['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'.charCodeAt(i)] = i
value[0x2d] = 62
value[0x5f] = 63
/** What stands in texts, ASCII or not; NUL in UTF-16. */
const likely = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte >= 0x20 && byte !== 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d || byte === 0 ? 1 : 0,
)

function isWorthDecoding(written: string, shift: number): boolean {
  const last = shift + (((written.length - shift - SAMPLE) >> 2) << 2)
  const middle = shift + (((last - shift) >> 3) << 2)
  return last >= shift && (isSampleText(written, shift) || isSampleText(written, middle) || isSampleText(written, last))
}

function isSampleText(written: string, at: number): boolean {
  for (let i = at; i < at + SAMPLE; i += 4) {
    const [a, b, c, d] = [value[written.charCodeAt(i)], value[written.charCodeAt(i + 1)], value[written.charCodeAt(i + 2)], value[written.charCodeAt(i + 3)]]
    if (a < 0 || b < 0) return false
    if (likely[(a << 2) | (b >> 4)] === 0) return false
    if (c >= 0 && likely[((b & 15) << 4) | (c >> 2)] === 0) return false
    if (c >= 0 && d >= 0 && likely[((c & 3) << 6) | d] === 0) return false
  }
  return true
}

/** A text has such a stretch of characters and none of control; of random bytes nearly none has. */
const STRETCH_BYTES = 48
const CONTROLS = /[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]/

/** Whether the bytes begin, go on in the middle or end like a text. */
function isProbablyText(bytes: Buffer): boolean {
  if (bytes.length <= STRETCH_BYTES) return isStretch(bytes)
  const middle = (bytes.length - STRETCH_BYTES) >> 1
  return (
    isStretch(bytes.subarray(0, STRETCH_BYTES)) ||
    isStretch(bytes.subarray(middle, middle + STRETCH_BYTES)) ||
    isStretch(bytes.subarray(bytes.length - STRETCH_BYTES))
  )
}

function isStretch(bytes: Buffer): boolean {
  if (bytes.length === 0 || CONTROLS.test(bytes.toString('latin1'))) return false
  // A character may be cut at either end.
  let from = 0
  while (from < bytes.length && from < 3 && (bytes[from] & 0xc0) === 0x80) from++
  let to = bytes.length
  for (let back = 1; back <= 3 && back <= bytes.length; back++) if (bytes[bytes.length - back] >= 0xc0) to = bytes.length - back
  return to - from >= Math.min(bytes.length, STRETCH_BYTES) - 6 && isUtf8(bytes.subarray(from, to))
}

/** UTF-16 of ASCII, as some tools encode before they encode. */
const withoutNulls = (bytes: Buffer): Buffer => (bytes.includes(0) ? Buffer.from(bytes.filter((byte) => byte !== 0)) : bytes)
