import type { ModelCall, TextSlot } from '../call.ts'
import { pathIn } from '../dialects/bodies/read-call.ts'
import type { Span } from './matching/match.ts'
import { slotAt } from './matching/search.ts'

/** Where in the body spans lie, as JSON paths such as `messages[2].content`, each once, at most `placesMax`. Reads the body again: it is asked rarely. */
export function pathsOf(call: ModelCall, spans: readonly Span[], placesMax: number): string[] {
  const slots = new Set<TextSlot>()
  for (const { start } of spans) {
    if (slots.size >= placesMax) break
    slots.add(call.slots[slotAt(call.slots, start)])
  }
  if (slots.size === 0) return []
  const pathOf = pathIn(call)
  return [...new Set(Array.from(slots, (slot) => slot.place ?? pathOf(slot.start)))]
}
