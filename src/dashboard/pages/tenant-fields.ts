/** Every setting of a tenant, in groups. */
import type { FieldGroup, FormField, Option } from '../parts/form-fields.ts'
import { limitFields, limitsInWords, modelLimitRows } from './limit-fields.ts'

export interface Tenant {
  tenant_id: string
  name: string
  rules_preset: string | null
  max_requests_per_minute: number
  max_requests_per_day: number | null
  max_tokens_per_minute: number | null
  max_tokens_per_day: number | null
  max_concurrency: number | null
  limits: Record<string, unknown> | null
  default_max_output_tokens: number | null
  limits_without_redis: 'local' | 'refuse'
  contact_email: string | null
  allowed_models: string[] | null
  allowed_regions: string[] | null
  uninspectable: 'warn' | 'allow' | 'block'
  stream_stop: 'soft' | 'hard'
  audit_durability: 'sync' | 'strict' | null
  audit_retention_days: number | null
  escalation_wait_seconds: number
  forward_proxy_credentials: boolean
  active: boolean
  created_at: string
  api_key_count: number
}

export interface Asked {
  /** It is changed, not created. */
  isThere: boolean
  /** The presets to choose among; empty: whoever looks may not change rules. */
  presets: readonly Option[]
}

const THERE = 'Shown is what holds now. Empty: the installation’s default.'
const whole = { kind: 'number', min: 1, empty: 'null' } as const

export const tenantGroups = ({ isThere, presets }: Asked): FieldGroup[] => [
  {
    legend: 'The tenant',
    fields: [
      { name: 'name', label: 'Name', kind: 'text', required: true },
      { name: 'contact_email', label: 'Contact', kind: 'email', empty: 'null', hint: 'The e-mail address of whoever answers for it.' },
      ...(isThere ? [{ name: 'active', label: 'Active', kind: 'flag', hint: 'Keys of a tenant that is not active open nothing.' } as const] : []),
    ],
  },
  {
    legend: 'Rules and what they cannot read',
    fields: [
      ...presetField({ isThere, presets }),
      {
        name: 'uninspectable',
        label: 'What no rule can read',
        kind: 'choice',
        hint: 'What becomes of calls that carry images, sound or other bytes that hold no text.',
        options: [
          { value: 'warn', label: 'Warn' },
          { value: 'allow', label: 'Allow' },
          { value: 'block', label: 'Block' },
        ],
      },
      {
        name: 'stream_stop',
        label: 'When a rule stops a stream',
        kind: 'choice',
        options: [
          { value: 'hard', label: 'It ends with an error (hard)' },
          { value: 'soft', label: 'It ends as if the model had stopped (soft)' },
        ],
      },
      {
        name: 'escalation_wait_seconds',
        label: 'Seconds that a held call waits',
        kind: 'number',
        min: 0,
        max: 120,
        required: true,
        hint: 'How long the connection of a call that a person must decide about stays open. 0: the call is refused at once, and sent again once it is approved.',
      },
    ],
  },
  {
    legend: 'Limits of the tenant',
    hint: 'Of all its calls together. Empty: no limit.',
    fields: [
      ...limitFields('', { max_requests_per_minute: isThere ? THERE : 'Empty: the installation’s default.' }),
      {
        name: 'default_max_output_tokens',
        label: 'Expected tokens of an answer',
        ...whole,
        hint: 'What a call that does not say so is expected to answer at most, for estimates.',
      },
      {
        name: 'limits_without_redis',
        label: 'While Redis is away',
        kind: 'choice',
        options: [
          { value: 'local', label: 'Each process counts by itself' },
          { value: 'refuse', label: 'Calls are refused' },
        ],
      },
    ],
  },
  {
    legend: 'Limits of each key',
    folded: true,
    hint: 'Of every key that has none of its own. All empty: no more than the tenant as a whole.',
    fields: limitFields('limits.key.'),
  },
  { legend: 'Limits of each agent', folded: true, hint: 'Of every agent that has none of its own.', fields: limitFields('limits.agent.') },
  { legend: 'Limits of each user', folded: true, hint: 'Of every user, as calls name them.', fields: limitFields('limits.user.') },
  { legend: 'Limits by model', folded: true, fields: [modelLimitRows] },
  {
    legend: 'Where calls may go',
    fields: [
      {
        name: 'allowed_models',
        label: 'Models',
        kind: 'lines',
        empty: 'null',
        hint: 'Patterns such as gpt-*, one a line. Empty: every model that an upstream serves.',
      },
      { name: 'allowed_regions', label: 'Regions', kind: 'lines', empty: 'null', hint: 'An upstream must lie in one of these, one a line. Empty: anywhere.' },
      {
        name: 'forward_proxy_credentials',
        label: 'Let credentials that are not ours travel on',
        kind: 'flag',
        hint: 'In forward-proxy mode. Kept and answered; takes effect in a later version.',
      },
    ],
  },
  {
    legend: 'The audit log',
    fields: [
      {
        name: 'audit_durability',
        label: 'On record before a call leaves',
        kind: 'choice',
        empty: 'null',
        options: [
          { value: '', label: 'As the installation does' },
          { value: 'sync', label: 'On the disk of its process (sync)' },
          { value: 'strict', label: 'Committed to the database as well (strict)' },
        ],
      },
      {
        name: 'audit_retention_days',
        label: 'Days that entries are kept',
        ...whole,
        max: 36_500,
        hint: 'Empty: as the installation does, AUDIT_RETENTION_DAYS.',
      },
    ],
  },
]

function presetField({ isThere, presets }: Asked): FormField[] {
  if (presets.length === 0) return []
  const hint = isThere
    ? 'Another one replaces the old preset’s rules by its own; the tenant’s own rules stay.'
    : 'The rules that the tenant begins with. Text rules alone make nobody compliant.'
  return [{ name: 'rules_preset', label: 'Preset', kind: 'choice', empty: 'null', hint, options: [{ value: '', label: 'None' }, ...presets] }]
}

/** As the API fills in what is left out. */
export const newTenantValues = (): URLSearchParams =>
  new URLSearchParams({ rules_preset: 'default', uninspectable: 'warn', stream_stop: 'hard', limits_without_redis: 'local', escalation_wait_seconds: '0' })

/** What a tenant gives each key, agent and user, and models, in words. */
export function eachInWords({ limits }: Tenant): string[] {
  const of = (name: string): string => limitsInWords(limits?.[name] as Record<string, unknown> | null | undefined)
  const models = (limits?.models ?? []) as { model: string }[]
  return [
    ...(['key', 'agent', 'user'] as const).flatMap((name) => (of(name) === '' ? [] : [`each ${name}: ${of(name)}`])),
    ...models.map((one) => `${one.model}: ${limitsInWords(one)}`),
  ]
}
