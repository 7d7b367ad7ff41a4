/** What the bytes of a text are to the detectors, which know ASCII only: other scripts are folded before. */

export const DIGIT = 1
export const UPPER = 2
export const LOWER = 4
/** Part of words that programs make: foo_bar, foo-bar. */
export const JOINT = 8
/** Something may begin here, or have a meaning of its own: @ % & \ = : < */
export const SIGN = 16
/** Base64 goes on beyond it. */
export const PLUS = 32
export const LETTERS = UPPER | LOWER
/** Letters, digits and joints. */
export const WORD = DIGIT | LETTERS | JOINT

/** By byte; 0 is everything else. */
export const kinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  if (byte > 0x7f) return 0
  if (/\d/.test(character)) return DIGIT
  if (/[A-Z]/.test(character)) return UPPER
  if (/[a-z]/.test(character)) return LOWER
  if (/[_-]/.test(character)) return JOINT
  if (/[+/]/.test(character)) return PLUS
  return /[@%&\\=:<\x1b]/.test(character) ? SIGN : 0
})

export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39
export const isAlphanumeric = (byte: number): boolean => (kinds[byte] & (DIGIT | LETTERS)) !== 0

/** What folds a letter of another script that looks like no letter of ASCII: it ends whatever it stands in. */
const OTHER_LETTER = 0x1a
/** Whether something that is found may have this byte between its letters and digits. */
export const isGap = (byte: number): boolean => (kinds[byte] & (DIGIT | LETTERS)) === 0 && byte !== OTHER_LETTER

/** As much of the range as the text has. */
export const textOf = (text: Buffer, start: number, end: number): string => text.toString('latin1', Math.max(0, start), Math.min(end, text.length))

/** The first two characters of a word as 14 bits. */
export const pairAt = (first: number, second: number): number => ((first & 127) << 7) | (second & 127)
