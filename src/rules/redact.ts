import type { ModelCall, Role, TextSlot } from '../call.ts'
import { pathIn } from '../dialects/read-call.ts'
import { type Edit, splice } from '../dialects/texts.ts'
import { editsFor } from './edits.ts'
import type { Span } from './match.ts'
import { createReversible, type Originals } from './placeholder.ts'
import type { Verdict } from './policy.ts'
import { slotAt } from './search.ts'

/** Where a placeholder would break the call or the reply: names and ids must stay what the other side knows. */
export const canBeCut = (role: Role): boolean => role !== 'protocol' && role !== 'tool_name'

/**
 * The call as it may leave: what the verdict redacts is replaced inside the strings it stands in, every other byte is as it came. `originals` says what
 * must be put back into the reply; null where nothing is. `cannot` is the JSON path of the first place that cannot be cut.
 */
export function redact(call: ModelCall, verdict: Verdict): { outbound: Buffer; originals: Originals | null } | { cannot: string } {
  const { body, slots, text } = call
  const { leaves, redactionKey } = verdict.policy
  const reversible = redactionKey && createReversible(redactionKey)
  const bySlot = Map.groupBy(verdict.redactions, ({ start }) => slots[slotAt(slots, start)])
  const edits: Edit[] = []
  for (const [slot, spans] of bySlot) {
    if (!canBeCut(slot.role) || slot.place !== undefined) return { cannot: slot.place ?? pathIn(call)(slot.start) }
    const placeholderOf = (span: Span): string => {
      const { rule, placeholder: plain } = leaves[span.leaf]
      const placeholder = rule.reversible && reversible ? reversible.placeholderOf(plain, text.toString('utf8', span.start, span.end)) : plain
      return slot.role === 'tool_arguments' && isBareValue(text, slot, span) ? `\\"${placeholder}\\"` : placeholder
    }
    for (const edit of editsFor(body, slot, spans, placeholderOf)) edits.push(edit)
  }
  // The flat text puts the messages first; the body need not.
  return {
    outbound: splice(
      body,
      edits.sort((a, b) => a.start - b.start),
    ),
    originals: reversible && reversible.originals.size > 0 ? reversible.originals : null,
  }
}

/** Whether a span is a whole value of the JSON that arguments are, outside its strings: a number, in whose place a text needs quotes of its own. */
function isBareValue(text: Buffer, { from, to }: TextSlot, span: Span): boolean {
  const before = text.toString('latin1', Math.max(from, span.start - VALUE_EDGE), span.start)
  const after = text.toString('latin1', span.end, Math.min(to, span.end + VALUE_EDGE))
  return /[:,[]\s*$/.test(before) && /^\s*[,}\]]/.test(after) && /^[\d.-]+$/.test(text.toString('latin1', span.start, span.end))
}
const VALUE_EDGE = 16
