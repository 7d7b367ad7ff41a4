import type { ModelCall, Role, TextSlot } from '../call.ts'
import { createJsonReader } from '../dialects/json-reader.ts'
import { type Edit, pathAt, splice } from '../dialects/texts.ts'
import { editsFor } from './edits.ts'
import type { Verdict } from './policy.ts'
import { slotAt } from './search.ts'

/** Where a placeholder would break the call or the reply: names and ids must stay what the other side knows. */
export const canBeCut = (role: Role): boolean => role !== 'protocol' && role !== 'tool_name'

/**
 * The call as it may leave: what the verdict redacts is replaced inside the strings it stands in, every other byte is as it came. `cannot` is the
 * JSON path of the first place that cannot be cut.
 */
export function redact(call: ModelCall, verdict: Verdict): { outbound: Buffer } | { cannot: string } {
  const { body, slots } = call
  const { leaves } = verdict.policy
  const bySlot = Map.groupBy(verdict.redactions, ({ start }) => slots[slotAt(slots, start)])
  const edits: Edit[] = []
  for (const [slot, spans] of bySlot) {
    if (!canBeCut(slot.role)) return { cannot: placeOf(body, slot) }
    for (const edit of editsFor(body, slot, spans, ({ leaf }) => leaves[leaf].placeholder)) edits.push(edit)
  }
  // The flat text puts the messages first; the body need not.
  return {
    outbound: splice(
      body,
      edits.sort((a, b) => a.start - b.start),
    ),
  }
}

const placeOf = (body: Buffer, slot: TextSlot): string => slot.place ?? pathAt(createJsonReader()(body), slot.start)
