import type { ModelCall, TextSlot } from '../call.ts'
import type { Policy } from './policy.ts'
import { severity } from './rule.ts'
import type { Subject } from './targets.ts'

/** Whether a rule that cuts, holds or blocks finds something in one of these texts, were they part of the call. Nothing is done about it. */
export function findsIn(policy: Policy, subject: Subject, texts: readonly string[]): boolean {
  let at = 0
  const slots = texts.map((text): TextSlot => {
    const from = at
    const to = from + Buffer.byteLength(text)
    at = to + 1
    return { role: 'other', start: 0, end: 0, escaped: false, from, to }
  })
  const call: ModelCall = { ...subject.call, slots, text: Buffer.from(texts.join('\n')), promptEnd: 0, opaqueBytes: 0, sealedBytes: 0, lastMessage: null }
  const { findings } = policy.judge({ ...subject, call })
  return findings.some(({ rule, mode, spans }) => mode === 'enforce' && severity[rule.action] >= severity.REDACT && spans.length > 0)
}
