/** Which part of an exchange each target of a rule means. */
import type { Caller, ModelCall, Role } from '../call.ts'
import type { Target } from './rule.ts'

/** What a policy judges: the call, who makes it, and where it goes. */
export interface Subject {
  call: ModelCall
  caller: Caller
  endpoint: string
}

export type TargetReading =
  /** Texts of the call with this role; null is every text. */
  | { reads: 'call'; role: Role | null }
  | { reads: 'reply' }
  /** Who and where: known before a text is read. */
  | { reads: 'field'; of(subject: Subject): string }

export const targetReadings: Readonly<Record<Target, TargetReading>> = {
  prompt: { reads: 'call', role: null },
  system: { reads: 'call', role: 'system' },
  user: { reads: 'call', role: 'user' },
  tool_arguments: { reads: 'call', role: 'tool_arguments' },
  tool_results: { reads: 'call', role: 'tool_result' },
  tool_names: { reads: 'call', role: 'tool_name' },
  response: { reads: 'reply' },
  model: { reads: 'field', of: ({ call }) => call.model },
  endpoint: { reads: 'field', of: ({ endpoint }) => endpoint },
  tenant: { reads: 'field', of: ({ caller }) => caller.tenant.id },
  key: { reads: 'field', of: ({ caller }) => caller.keyPrefix },
}

export const DEFAULT_TARGET: Target = 'prompt'
