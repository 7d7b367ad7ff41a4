import type { Action } from '../rule.ts'
import { RuleError } from '../rule-error.ts'

/** Throws a RuleError of reason `config` for a rule that could not keep its word about a reply. */
export function checkReplyRule({ action, reversible }: { action: Action; reversible: boolean }): void {
  if (action === 'ESCALATE') throw new RuleError('config', 'action', 'A response cannot be escalated: its call has long been made. Use BLOCK, REDACT or WARN.')
  if (reversible) throw new RuleError('config', 'reversible', 'What is cut from a response cannot be put back: nothing comes after it.')
}
