/** What letters a text must have where a phrase stands, as it is written or as an evader writes it. */
import { needsFolding } from './folded-literals.ts'
import { CLASS_BITS, CLASSES, classOfLetter, lettersOf, rarity, squeezed } from './letters.ts'
import type { Phrase } from './literals.ts'
import { GRAM_LETTERS, type Gram, gramOf, MORE_LETTERS } from './sieve.ts'

/** A phrase of fewer letters says too little. */
const LETTERS_MIN = 2

/** Null where nothing rare enough stands in every text with this phrase. */
export function phraseGrams({ text, exact }: Phrase, groups: number): readonly Gram[] | null {
  if (exact || !needsFolding(text)) return letterGrams(squeezed(text), groups)
  // In another case a letter outside ASCII may look like another, so that only letters of ASCII count, and those with nothing but signs between.
  const stretches: number[][] = [[]]
  for (const character of text) {
    if (character > '\x7f') stretches.push([])
    else stretches[stretches.length - 1].push(...lettersOf(character.charCodeAt(0)))
  }
  const longest = stretches.reduce((most, one) => (one.length > most.length ? one : most))
  return letterGrams(longest, groups)
}

/** The same of letters that follow each other. Of fewer than four, what stands before them may be anything. */
export function letterGrams(letters: readonly number[], groups: number): readonly Gram[] | null {
  if (letters.length < LETTERS_MIN) return null
  const classes = letters.map(classOfLetter)
  const missing = GRAM_LETTERS - classes.length
  if (missing > 0) {
    const known = gramOf(classes)
    return Array.from({ length: CLASSES ** missing }, (_, any) => ({ gram: (any << (CLASS_BITS * classes.length)) | known, before: [], groups }))
  }
  // Those which with what stands before them are the rarest.
  let best: Gram | null = null
  let least = Infinity
  for (let end = GRAM_LETTERS; end <= classes.length; end++) {
    const gram = gramOf(classes.slice(end - GRAM_LETTERS, end))
    const before = classes.slice(Math.max(0, end - GRAM_LETTERS - MORE_LETTERS), end - GRAM_LETTERS).reverse()
    const share = rarity(classes.slice(Math.max(0, end - GRAM_LETTERS - MORE_LETTERS), end))
    if (share >= least) continue
    least = share
    best = { gram, before, groups }
  }
  return best && [best]
}
