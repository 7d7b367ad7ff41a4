import type { ModelCall, TextSlot } from '../call.ts'
import { pathIn } from '../dialects/bodies/read-call.ts'
import type { Span } from './matching/match.ts'
import { slotAt } from './search/search.ts'

/** Answers where in the body spans lie, as JSON paths such as `messages[2].content`, each once, at most `placesMax`. */
export type Places = (spans: readonly Span[], placesMax: number) => string[]

/** Reads the body again, once and only when something is asked: it is asked rarely, and then often of several findings. */
export function placesIn(call: ModelCall): Places {
  let pathOf: ((offset: number) => string) | undefined
  const placeOf = ({ place, start }: TextSlot): string => place ?? (pathOf ??= pathIn(call))(start)

  return (spans, placesMax) => {
    const slots = new Set<TextSlot>()
    for (const { start } of spans) {
      if (slots.size >= placesMax) break
      slots.add(call.slots[slotAt(call.slots, start)])
    }
    return [...new Set(Array.from(slots, placeOf))]
  }
}
