/** JSON where it lies: a tape of nodes with byte offsets, so that a text can be read in place and later be cut out of the original bytes. */
import { spell } from './names.ts'

/** Four numbers a node: first byte, byte after the last, next sibling, and for strings the flags below, for containers the number of children. */
export const layout = { WIDTH: 4, NEXT: 2, INFO: 3, ESCAPED: 1, KEY: 2, LABEL_SHIFT: 2 } as const
const { WIDTH, NEXT, INFO, ESCAPED, KEY, LABEL_SHIFT } = layout
const FLAGS = ESCAPED | KEY
export const NONE = -1
/** What `eachString` says of a member's name. */
export const KEY_LABEL = -1

const QUOTE = 0x22

/** A body as the reader left it: nodes are numbers, the root is 0. A member's name is a node, its value the node after it. */
export class Json {
  readonly bytes: Buffer
  readonly tape: Int32Array
  readonly length: number
  constructor(bytes: Buffer, tape: Int32Array, length: number) {
    this.bytes = bytes
    this.tape = tape
    this.length = length
  }

  /** The value of a member, or NONE, also where the node is no object. */
  get(node: number, name: string): number {
    for (let key = this.firstMember(node); key !== NONE; key = this.tape[key + NEXT]) {
      const known = this.tape[key + INFO] >> LABEL_SHIFT
      if (known === 0 ? this.is(key, name) : spell(known - 1) === name) return key + WIDTH
    }
    return NONE
  }
  /** The name of the first member, or NONE, also where the node is no object. */
  firstMember(node: number): number {
    return this.isObject(node) && this.tape[node + INFO] > 0 ? node + WIDTH : NONE
  }
  /** The first item, or NONE, also where the node is no array. */
  firstItem(node: number): number {
    return this.isArray(node) && this.tape[node + INFO] > 0 ? node + WIDTH : NONE
  }
  /** The next item, or the next member's name. */
  next(node: number): number {
    return this.tape[node + NEXT]
  }
  /** The value that belongs to a member's name. */
  value(key: number): number {
    return key + WIDTH
  }
  /** A member's name if it is one of `names.ts`, else ''. */
  name(key: number): string {
    const known = this.tape[key + INFO] >> LABEL_SHIFT
    return known === 0 ? '' : spell(known - 1)
  }

  isString(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === QUOTE
  }
  isKey(node: number): boolean {
    return this.isString(node) && (this.tape[node + INFO] & KEY) !== 0
  }
  isObject(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === 0x7b
  }
  isArray(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === 0x5b
  }
  isTrue(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === 0x74
  }
  isFalse(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === 0x66
  }
  isNull(node: number): boolean {
    return node >= 0 && this.bytes[this.tape[node]] === 0x6e
  }

  /** How many bytes a value takes in the body. */
  bytesOf(node: number): number {
    return this.tape[node + 1] - this.tape[node]
  }
  /** Where a value begins and ends in the body, quotes and brackets included. */
  rangeOf(node: number): { start: number; end: number } {
    return { start: this.tape[node], end: this.tape[node + 1] }
  }
  /** The first byte of a string, after its quote. */
  start(node: number): number {
    return this.tape[node] + 1
  }
  /** The byte after the last of a string: its closing quote. */
  end(node: number): number {
    return this.tape[node + 1] - 1
  }
  isEscaped(node: number): boolean {
    return (this.tape[node + INFO] & ESCAPED) !== 0
  }
  /** What a dialect says a string value is; 0 until it does. */
  label(node: number): number {
    return this.tape[node + INFO] >> LABEL_SHIFT
  }
  /** Does nothing to anything but a string value. */
  setLabel(node: number, label: number): void {
    if (!this.isString(node) || this.isKey(node)) return
    this.tape[node + INFO] = (this.tape[node + INFO] & FLAGS) | (label << LABEL_SHIFT)
  }

  /** The decoded string; '' for anything else. */
  text(node: number): string {
    if (!this.isString(node)) return ''
    return decodeString(this.bytes, this.tape[node], this.tape[node + 1], this.isEscaped(node))
  }
  /** NaN for anything but a number. */
  number(node: number): number {
    const byte = node < 0 ? QUOTE : this.bytes[this.tape[node]]
    if (byte !== 0x2d && (byte < 0x30 || byte > 0x39)) return Number.NaN
    return Number(this.bytes.toString('latin1', this.tape[node], this.tape[node + 1]))
  }
  /** True if the string says this (ASCII) word. */
  is(node: number, word: string): boolean {
    if (!this.isString(node)) return false
    if (this.isEscaped(node)) return this.text(node) === word
    const start = this.start(node)
    if (this.end(node) - start !== word.length) return false
    for (let i = 0; i < word.length; i++) if (this.bytes[start + i] !== word.charCodeAt(i)) return false
    return true
  }

  /** Every whole number of so many digits that it may be somebody's, in the order of the bytes. */
  eachLongNumber(visit: (node: number) => void): void {
    const { tape, bytes, length } = this
    for (let node = 0; node < length; node += WIDTH) {
      const start = tape[node]
      const byte = bytes[start]
      if (tape[node + 1] - start < LONG_NUMBER_DIGITS_MIN || (byte !== 0x2d && (byte < 0x30 || byte > 0x39))) continue
      let i = start + 1
      while (i < tape[node + 1] && bytes[i] >= 0x30 && bytes[i] <= 0x39) i++
      if (i === tape[node + 1]) visit(node)
    }
  }
  /** Every string in the order of the bytes: values with their label, and the members' names that are not in `names.ts`, with the label KEY_LABEL. */
  eachString(visit: (node: number, label: number) => void): void {
    const { tape, bytes, length } = this
    for (let node = 0; node < length; node += WIDTH) {
      if (bytes[tape[node]] !== QUOTE) continue
      const info = tape[node + INFO]
      if ((info & KEY) === 0) visit(node, info >> LABEL_SHIFT)
      else if (info >> LABEL_SHIFT === 0) visit(node, KEY_LABEL)
    }
  }
}

/** Fewer digits are no card, account or identity. */
const LONG_NUMBER_DIGITS_MIN = 9

/** The string whose quotes are at `start` and before `end`. */
export const decodeString = (bytes: Buffer, start: number, end: number, escaped: boolean): string =>
  escaped ? JSON.parse(bytes.toString('utf8', start, end)) : bytes.toString('utf8', start + 1, end - 1)

/** The value of a hexadecimal digit, or -1. */
export const hex = (byte: number): number =>
  byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66 ? (byte | 0x20) - 0x57 : -1
