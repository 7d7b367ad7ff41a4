/** The shape of a rule, as the API, the database and the policy compiler know it. */
export const actions = ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] as const
export type Action = (typeof actions)[number]
/** Among what matched, the most severe wins. */
export const severity: Readonly<Record<Action, number>> = { ALLOW: 0, WARN: 1, REDACT: 2, ESCALATE: 3, BLOCK: 4 }

/** What a leaf looks at. `prompt` is every text of the call, known or unknown to the dialect. */
export const targets = ['prompt', 'system', 'user', 'tool_arguments', 'tool_results', 'tool_names', 'response', 'model', 'endpoint', 'tenant', 'key'] as const
export type Target = (typeof targets)[number]

/** `value` is parsed by the operator's entry in the table of operators. */
export interface Leaf {
  operator: string
  value: unknown
  target?: Target
  case_sensitive?: boolean
}
export type Condition = Leaf | { all: readonly Condition[] } | { any: readonly Condition[] } | { not: Condition }

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
