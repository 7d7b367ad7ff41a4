/** What a key is, and what can be said of one. */
import { scopes, tenantScopes } from '../../access/scopes.ts'
import type { Tone } from '../parts/figures.ts'
import type { FieldGroup, FormField, Option } from '../parts/form-fields.ts'
import { limitFields } from './limit-fields.ts'

export interface Key {
  prefix: string
  name: string
  scopes: string[]
  agent_id: string | null
  limits: Record<string, number | null> | null
  allowed_addresses: string[] | null
  allowed_models: string[] | null
  client_certificate: string | null
  successor: string | null
  expires_at: string | null
  created_at: string
  last_used_at: string | null
  revoked_at: string | null
}

export interface Issued {
  api_key: string
  prefix: string
  name: string
  scopes: string[]
}

/** Whether it opens anything, and in which colour that is said. */
export function stateOf({ revoked_at: revoked, expires_at: expires, successor }: Key, now: Date): { word: string; tone: Tone; isUsable: boolean } {
  if (revoked !== null) return { word: 'Revoked', tone: 'plain', isUsable: false }
  if (expires !== null && Date.parse(expires) <= now.getTime()) return { word: 'Ended', tone: 'plain', isUsable: false }
  return successor === null ? { word: 'Usable', tone: 'good', isUsable: true } : { word: 'Replaced', tone: 'warning', isUsable: true }
}

const models: FormField = {
  name: 'allowed_models',
  label: 'Models',
  kind: 'lines',
  empty: 'null',
  hint: 'Patterns such as gpt-*, one a line, within what its tenant and its agent may use. Empty: all of that.',
}
const addresses: FormField = {
  name: 'allowed_addresses',
  label: 'Addresses',
  kind: 'lines',
  empty: 'null',
  hint: 'Addresses and networks such as 10.0.0.0/8, one a line, from which it may be used. Empty: anywhere.',
}
const ends: FormField = {
  name: 'expires_at',
  label: 'Ends at (UTC)',
  kind: 'moment',
  empty: 'null',
  hint: 'From then on it opens nothing. Empty: never, which nobody should want of a key.',
}
const name: FormField = { name: 'name', label: 'Name', kind: 'text', required: true, hint: 'For people: whose it is, or what for.' }
const limits: FieldGroup = { legend: 'Limits of the key', folded: true, hint: 'All empty: what the tenant gives each key.', fields: limitFields('limits.') }

export interface NewKeyAsked {
  /** Scopes that whoever looks may give. */
  scopes: readonly string[]
  agents: readonly Option[]
  /** Names in certificates are one space for all tenants. */
  mayBindCertificates: boolean
}

export const newKeyGroups = ({ scopes: given, agents, mayBindCertificates }: NewKeyAsked): FieldGroup[] => [
  {
    legend: 'The key',
    fields: [
      name,
      {
        name: 'scopes',
        label: 'What it may do',
        kind: 'choices',
        options: tenantScopes.filter((scope) => given.includes(scope)).map((scope) => ({ value: scope, label: scope, hint: scopes[scope].about })),
      },
      {
        name: 'agent_id',
        label: 'Agent',
        kind: 'choice',
        empty: 'null',
        options: [{ value: '', label: 'None' }, ...agents],
        hint: 'Whose key it is, where it is an agent’s.',
      },
      ends,
    ],
  },
  {
    legend: 'Where and what for',
    fields: [
      models,
      addresses,
      ...(mayBindCertificates
        ? [
            {
              name: 'client_certificate',
              label: 'Client certificate',
              kind: 'text',
              empty: 'null',
              hint: 'A name in it, such as dns:robot.example.com or uri:spiffe://example.com/robot: the key is then good with such a certificate only. Empty: none is asked for.',
            } as const,
          ]
        : []),
    ],
  },
  limits,
]

export const changedKeyGroups: readonly FieldGroup[] = [
  { legend: 'The key', hint: 'What it may do, whose it is and its certificate stay: for others issue another key.', fields: [name, ends] },
  { legend: 'Where and what for', fields: [models, addresses] },
  limits,
]

/** A tenant's key may carry these; whoever gives one needs the scope, but for sending calls. */
export const givable = (may: (scope: string) => boolean): string[] => tenantScopes.filter((scope) => scope === 'proxy:write' || may(scope))
