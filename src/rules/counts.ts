/** How long texts are, and how numbers compare: what the operators of kind number ask. */
import type { ModelCall, Texts } from '../call.ts'
import { comparisons, type Operand } from './operators.ts'
import { type Selection, selects } from './targets.ts'

export type NumberOperand = Extract<Operand, { kind: 'number' }>

export const compares = ({ comparison, than }: NumberOperand, number: number): boolean => comparisons[comparison](number, than)

/** The number a value of a header or of metadata is, written as JSON writes it; null where it is none. */
export const numberIn = (value: string): number | null => (/^\s*-?\d+(?:\.\d+)?(?:e[+-]?\d+)?\s*$/i.test(value) ? Number(value) : null)

/**
 * Tells whether the length of all selected texts together compares so. Words of the protocol, such as ids and the names of members, and what stands
 * beside the body do not count. The bytes alone decide most questions, so that few texts have to be read for it, and none twice.
 */
export function lengthsOf(texts: Texts & { lastMessage?: ModelCall['lastMessage'] }, selection: Selection): (operand: NumberOperand) => boolean {
  const counted = texts.slots.filter((slot) => slot.place === undefined && slot.role !== 'protocol' && selects(selection, slot, texts.lastMessage ?? null))
  const bytes = counted.reduce((sum, { from, to }) => sum + to - from, 0)
  const sumOf = (count: typeof countWords): number => counted.reduce((sum, { from, to }) => sum + count(texts.text, from, to), 0)
  let words: number | undefined
  let characters: number | undefined
  return (operand) => {
    const isWords = operand.measure === 'words'
    const [least, most] = isWords ? [0, (bytes + counted.length) / 2] : [bytes / 4, bytes]
    const equality = operand.comparison === 'eq' || operand.comparison === 'ne'
    if (!equality && compares(operand, least) === compares(operand, most)) return compares(operand, most)
    return compares(operand, isWords ? (words ??= sumOf(countWords)) : (characters ??= sumOf(countCharacters)))
  }
}

/** Code points of UTF-8: every byte but those that continue one. */
export function countCharacters(bytes: Buffer, from: number, to: number): number {
  let count = 0
  for (let i = from; i < to; i++) if ((bytes[i] & 0xc0) !== 0x80) count++
  return count
}

/** Runs of anything but white space, as Unicode knows it. */
export function countWords(bytes: Buffer, from: number, to: number): number {
  let count = 0
  let open = false
  for (let i = from; i < to; ) {
    const size = spaceAt(bytes, i)
    if (size === 0 && !open) count++
    open = size === 0
    i += size || 1
  }
  return count
}

/** How many bytes the white space here takes; 0 where there is none. */
function spaceAt(bytes: Buffer, i: number): number {
  const byte = bytes[i]
  if (byte < 0x80) return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) ? 1 : 0
  if (byte === 0xc2) return bytes[i + 1] === 0x85 || bytes[i + 1] === 0xa0 ? 2 : 0
  if (byte < 0xe1 || byte > 0xe3) return 0
  const code = (bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2]
  const isSpace =
    code === 0xe19a80 ||
    (code >= 0xe28080 && code <= 0xe2808a) ||
    code === 0xe280a8 ||
    code === 0xe280a9 ||
    code === 0xe280af ||
    code === 0xe2819f ||
    code === 0xe38080
  return isSpace ? 3 : 0
}
