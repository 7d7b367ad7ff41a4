/** The shape of a rule, as the API, the database and the policy compiler know it. */
export const actions = ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] as const
export type Action = (typeof actions)[number]
/** Among what matched, the most severe wins. */
export const severity: Readonly<Record<Action, number>> = { ALLOW: 0, WARN: 1, REDACT: 2, ESCALATE: 3, BLOCK: 4 }

/** The targets that have a name of their own. What each means stands in the table of targets. */
export const targets = [
  'prompt',
  'system',
  'user',
  'last_message',
  'tool_arguments',
  'tool_results',
  'tool_names',
  'response',
  'response_tool_arguments',
  'model',
  'endpoint',
  'tenant',
  'agent',
  'key',
  'estimated_tokens',
  'estimated_cost_usd',
] as const
/** Those whose rest is the name of a header, or of a field of the caller's metadata. */
export const namedTargets = ['header.<name>', 'metadata.<field>'] as const
export type TargetName = (typeof targets)[number] | (typeof namedTargets)[number]
export type Target = (typeof targets)[number] | `header.${string}` | `metadata.${string}`

/** `value` is parsed by the operator's entry in the table of operators. */
export interface Leaf {
  operator: string
  value: unknown
  target?: Target
  case_sensitive?: boolean
}
export type Condition = Leaf | { all: readonly Condition[] } | { any: readonly Condition[] } | { not: Condition }

/** Terms a tenant looks for by the name of their list. Rules name it where they would name a detector. */
export interface Dictionary {
  terms: readonly string[]
  case_sensitive: boolean
}
/** By name. */
export type Dictionaries = Readonly<Record<string, Dictionary>>

export interface Rule {
  id: string
  name: string
  condition: Condition
  action: Action
  /** 0..100; higher is judged first. */
  priority: number
  mode: 'enforce' | 'shadow'
  reversible: boolean
  active: boolean
  preset: string | null
  metadata: Readonly<Record<string, unknown>>
}
