/** What an agent is, and what can be said of one. */
import type { FieldGroup } from '../parts/form-fields.ts'
import type { Budget } from './budget-figures.ts'
import { limitFields } from './limit-fields.ts'

export interface Agent {
  id: string
  tenant_id: string
  name: string
  limits: Record<string, number | null> | null
  allowed_models: string[] | null
  quarantine: {
    blocks?: number | null
    errors?: number | null
    repeats?: number | null
    spend_factor?: number | null
    window_seconds?: number
  } | null
  active: boolean
  status: 'active' | 'quarantined' | 'inactive'
  budgets: Budget[]
  created_at: string
}

export interface Quarantine {
  id: string
  agent_id: string
  reason: string
  created_by: string
  created_at: string
  released_by: string | null
  released_at: string | null
  comment: string | null
}

export const QUARANTINES_SHOWN = 20
const WINDOW_SECONDS_DEFAULT = 600

/** `isThere`: it is changed, not added. */
export const agentGroups = (isThere: boolean): FieldGroup[] => [
  {
    legend: 'The agent',
    fields: [
      { name: 'name', label: 'Name', kind: 'text', required: true },
      {
        name: 'allowed_models',
        label: 'Models',
        kind: 'lines',
        empty: 'null',
        hint: 'Patterns such as gpt-*, one a line, within what the tenant may use. Empty: all of that.',
      },
      ...(isThere ? [{ name: 'active', label: 'Active', kind: 'flag', hint: 'Keys of an agent that is not active open nothing.' } as const] : []),
    ],
  },
  {
    legend: 'Limits',
    hint: 'Of all its calls together. All empty: what the tenant gives each agent.',
    fields: limitFields('limits.'),
  },
  {
    legend: 'Quarantine by itself',
    hint: 'So many within the window, and its calls are refused until somebody releases it. Empty: never for this.',
    fields: [
      { name: 'quarantine.blocks', label: 'Blocked calls', kind: 'number', min: 1, empty: 'null', hint: 'More calls than so many that a rule blocked.' },
      {
        name: 'quarantine.errors',
        label: 'Errors',
        kind: 'number',
        min: 1,
        empty: 'null',
        hint: 'More calls than so many that failed (400 and above without 429).',
      },
      { name: 'quarantine.repeats', label: 'Repeated prompts', kind: 'number', min: 1, empty: 'null', hint: 'More calls than so many with the same prompt.' },
      {
        name: 'quarantine.spend_factor',
        label: 'Times its usual spending',
        kind: 'number',
        min: 1,
        step: 'any',
        empty: 'null',
        hint: 'More than so many times what it spends in an ordinary window.',
      },
      {
        name: 'quarantine.window_seconds',
        label: 'Window in seconds',
        kind: 'number',
        min: 60,
        max: 86_400,
        hint: `From 60 to 86400; empty: ${WINDOW_SECONDS_DEFAULT}.`,
      },
    ],
  },
]

export const newAgentValues = (): URLSearchParams => new URLSearchParams({ 'quarantine.window_seconds': String(WINDOW_SECONDS_DEFAULT) })

/** The thresholds that are set, in words; empty where there are none. */
export function thresholdsInWords(quarantine: Agent['quarantine']): string {
  if (quarantine === null) return ''
  const { blocks, errors, repeats, spend_factor: factor, window_seconds: seconds } = quarantine
  const said = [
    ...(blocks ? [`more than ${blocks} blocked`] : []),
    ...(errors ? [`more than ${errors} errors`] : []),
    ...(repeats ? [`a prompt more than ${repeats} times`] : []),
    ...(factor ? [`more than ${factor} times its usual spending`] : []),
  ]
  return said.length === 0 ? '' : `${said.join(', ')} within ${seconds} s`
}
