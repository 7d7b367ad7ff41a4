import type { ModelCall } from '../call.ts'
import { textsOf } from './plain-texts.ts'
import type { Policy } from './policy.ts'
import { severity } from './rule.ts'
import type { Subject } from './targets.ts'

/** Whether a rule that cuts, holds or blocks finds something in one of these texts, were they part of the call. Nothing is done about it. */
export function findsIn(policy: Policy, subject: Subject, texts: readonly string[]): boolean {
  const call: ModelCall = { ...subject.call, ...textsOf(texts), lastMessage: null }
  const { findings } = policy.judge({ ...subject, call })
  return findings.some(({ rule, mode, spans }) => mode === 'enforce' && severity[rule.action] >= severity.REDACT && spans.length > 0)
}
