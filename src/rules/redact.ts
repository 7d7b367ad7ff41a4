import type { ModelCall, Role, TextSlot } from '../call.ts'
import { pathIn } from '../dialects/bodies/read-call.ts'
import { type Edit, splice } from '../dialects/bodies/texts.ts'
import { bareNumbers } from './bare-numbers.ts'
import { editsFor } from './edits.ts'
import type { Span } from './matching/match.ts'
import { createReversible, type Originals, sayingsIn } from './placeholder.ts'
import type { Verdict } from './policy.ts'
import { slotAt } from './search/search.ts'

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
  const cut = [...bySlot].filter(([slot, spans]) => slot.place === undefined || !isCutInPlace(slot, spans, bySlot, text))
  for (const [{ role, place, start }] of cut) if (!canBeCut(role) || place !== undefined) return { cannot: place ?? pathIn(call)(start) }
  const edits: Edit[] = []
  for (const [slot, spans] of reversible ? inConversation(call, cut) : cut) {
    const saying = sayingsIn(text, slot)
    const placeholderOf = (span: Span): string => {
      const { rule, placeholder: plain } = leaves[span.leaf]
      if (!rule.reversible || !reversible) return plain
      return reversible.placeholderOf(plain, saying(span), span.start > slot.from && text[span.start - 1] === BACKSLASH)
    }
    const numbers = bareNumbers()
    if (slot.role === 'tool_arguments') numbers.feed(text, slot.from, slot.to, slot.from)
    for (const edit of editsFor(body, slot, spans, numbers.quoting(placeholderOf))) edits.push(edit)
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

const BACKSLASH = 0x5c

/**
 * In an order to which a further turn only adds at the end, because placeholders depend on those before them: what stands behind the messages (tools,
 * a system's words), then what stands before them and they themselves as the body has them, tool calls among them.
 */
function inConversation<Cut extends readonly [TextSlot, ...unknown[]]>({ lastMessage }: ModelCall, cuts: readonly Cut[]): Cut[] {
  const isBehind = ([{ start }]: Cut): number => Number(lastMessage !== null && start >= lastMessage.end)
  return cuts.toSorted((a, b) => isBehind(b) - isBehind(a) || a[0].start - b[0].start)
}

/**
 * Whether a text that is told once more (tool arguments without needless escapes) holds nothing to cut but what is cut where it stands plainly: the
 * same, and as often.
 */
function isCutInPlace(retold: TextSlot, spans: readonly Span[], bySlot: ReadonlyMap<TextSlot, readonly Span[]>, text: Buffer): boolean {
  const saying = ({ start, end, leaf }: Span): string => `${leaf} ${text.toString('latin1', start, end)}`
  const left = new Map<string, number>()
  for (const [slot, plain] of bySlot) {
    if (slot.place !== undefined || slot.role !== retold.role || slot.start !== retold.start || slot.end !== retold.end) continue
    for (const said of plain.map(saying)) left.set(said, (left.get(said) ?? 0) + 1)
  }
  for (const said of spans.map(saying)) {
    const count = left.get(said) ?? 0
    if (count === 0) return false
    left.set(said, count - 1)
  }
  return true
}
