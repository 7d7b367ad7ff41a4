/** What of a text is letters and digits to a reader, whatever script they are of and whatever stands between them. */
import { asciiOf, LETTER, SIGN } from '../views/fold.ts'
import { foldCase, isCodePoint } from './folded-literals.ts'

/** The letters a character reads as, in one case; none for what is no letter or digit. */
export function lettersOf(codePoint: number): number[] {
  const ascii = asciiOf(codePoint)
  // A control character of a text may be that very byte, and is no letter.
  if (codePoint > 0x7f && ascii.length === 1 && ascii.charCodeAt(0) === LETTER) return [foldCase(codePoint)]
  const letters: number[] = []
  for (let i = 0; i < ascii.length; i++) {
    const byte = ascii.charCodeAt(i)
    if (byte !== SIGN && /[0-9A-Za-z]/.test(ascii[i])) letters.push(foldCase(byte))
  }
  return letters
}

export const squeezed = (text: string): number[] => Array.from(text).flatMap((character) => lettersOf(character.codePointAt(0) ?? 0))

/** Letters are told apart by five bits: each of a to z is one class, two digits share one, other scripts share them all. 0 is no letter's. */
export const CLASS_BITS = 5
export const CLASSES = 1 << CLASS_BITS
const DIGIT_CLASS = 27
export function classOfLetter(letter: number): number {
  if (letter >= 0x61 && letter <= 0x7a) return letter - 0x60
  if (letter >= 0x30 && letter <= 0x39) return DIGIT_CLASS + ((letter - 0x30) >> 1)
  return 1 + (letter % (CLASSES - 1))
}

/** What the class of a character says where it is no letter, or several. */
export const NO_LETTER = CLASSES
export const SEVERAL_LETTERS = CLASSES + 1
/** Classes are remembered below this code point; 0 is not known yet. */
const REMEMBERED_END = 0x20000
const remembered = new Uint8Array(REMEMBERED_END)

/** The class of a character's letter, NO_LETTER or SEVERAL_LETTERS. */
export function classOf(codePoint: number): number {
  const known = codePoint < REMEMBERED_END ? remembered[codePoint] : 0
  if (known !== 0) return known
  const letters = isCodePoint(codePoint) ? lettersOf(codePoint) : []
  const found = letters.length === 0 ? NO_LETTER : letters.length > 1 ? SEVERAL_LETTERS : classOfLetter(letters[0])
  if (codePoint < REMEMBERED_END) remembered[codePoint] = found
  return found
}

/** How often a letter of each class stands among a thousand, roughly, in the languages of Europe. */
const SHARES = [1, 80, 15, 28, 43, 120, 22, 20, 61, 70, 2, 8, 40, 24, 70, 75, 19, 1, 60, 63, 90, 28, 10, 24, 2, 20, 1, 4, 4, 4, 4, 4]

/** A digit follows another so often: numbers are rare, and all digits. */
const DIGIT_AFTER_DIGIT = 0.15

/** What stands in very many calls, so that its letters tell nothing. */
const COMMON = squeezed(
  `You are a helpful assistant that answers briefly. You are an expert in the following and you will be given a text. Please write, explain, summarize
or translate it for the user. If you do not know, say that you do not know. Use the information from the conversation and do not make up an answer. This is
what I have, and these are the results. Can you help me with the code, it should return the number of all the items in the list, as there would be one or
more of them. Your answer must be in the same language as the question, without any other text. How can I use this function? What does it mean, and when was
it first made? I want to know about their work in the last year. They have not been able to get to the system, but we think some people could see the new
version. She said he had been there before. Let me know if there is anything else that could be added to the message. Here are the instructions from our
team, which should be read first. Do you know who is there? Make sure to include the name and the content of the file. Thank you for your time.`,
)
  .map((letter) => String.fromCharCode(classOfLetter(letter)))
  .join('')

/**
 * How often letters of these classes follow each other in texts, roughly: 1 is always. Letters that are independent of each other would be rarer than those
 * of words that everybody writes.
 */
export function rarity(classes: readonly number[]): number {
  let share = 1
  for (let i = 0; i < classes.length; i++) {
    const isNumber = i > 0 && classes[i] >= DIGIT_CLASS && classes[i - 1] >= DIGIT_CLASS
    share *= isNumber ? DIGIT_AFTER_DIGIT : SHARES[classes[i]] / 1000
  }
  return classes.length > 0 && COMMON.includes(String.fromCharCode(...classes)) ? Math.max(share, 1 / COMMON.length) : share
}
