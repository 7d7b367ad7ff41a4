/** Texts of the kinds that people send to models, made from a seed so that they are the same each time, and the ordinary ones that presets are tried on. */
import { ordinaryTexts } from '../ordinary-texts.ts'
import { code } from './code.ts'
import type { CorpusText } from './files.ts'
import { prose } from './prose.ts'
import { random } from './random.ts'
import { records } from './records.ts'

/** Of each kind. */
const TEXTS = 10
/** Of an ordinary text, so much is its name. */
const NAME_CHARACTERS = 48

export function writtenTexts(): CorpusText[] {
  const written = Object.entries({ ...prose, ...code, ...records }).flatMap(([kind, write], k) =>
    Array.from({ length: TEXTS }, (_, i) => ({ name: `${kind} ${i + 1}`, text: write(random(k * 1000 + i)) })),
  )
  return [...written, ...ordinaryTexts.map((text) => ({ name: `ordinary text: ${text.slice(0, NAME_CHARACTERS)}`, text }))]
}
