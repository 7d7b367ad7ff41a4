/** What an upstream is, and what can be said of one. */
import { formats } from '../../dialects/index.ts'
import type { Tone } from '../parts/figures.ts'
import type { FieldGroup, FormField } from '../parts/form-fields.ts'

export interface Upstream {
  name: string
  tenant_id: string | null
  dialects: string[]
  base_url: string
  credential_mode: 'stored' | 'passthrough'
  credential_set: boolean
  models: string[]
  priority: number
  weight: number
  region: string | null
  timeouts: Partial<Record<'connect_seconds' | 'first_byte_seconds' | 'idle_seconds' | 'total_seconds', number>>
  prices: ({ model: string } & Record<string, string | number>)[]
  active: boolean
  created_at: string
  status: { state: 'closed' | 'open' | 'half_open'; failures: number; next_probe_at: string | null; rests_until: string | null } | null
}

export interface Checked {
  ok: boolean
  status: number | null
  latency_ms: number
  models: number | null
  problem: string | null
}

/** No member of the body: a credential is taken away by null. */
export const REMOVE_CREDENTIAL = 'remove_credential'

/** How calls fare there, in a word. */
export function healthOf({ active, status }: Upstream): { word: string; tone: Tone } {
  if (!active) return { word: 'Not active', tone: 'plain' }
  if (status === null) return { word: 'Not known here', tone: 'plain' }
  if (status.state === 'open') return { word: 'Down', tone: 'bad' }
  if (status.state === 'half_open') return { word: 'Being tried', tone: 'warning' }
  if (status.rests_until !== null) return { word: 'Resting', tone: 'warning' }
  return status.failures > 0 ? { word: 'Failing', tone: 'warning' } : { word: 'Up', tone: 'good' }
}

const seconds = (name: keyof Upstream['timeouts'], label: string, max: number, hint: string): FormField => ({
  name: `timeouts.${name}`,
  label,
  kind: 'number',
  min: 0,
  max,
  step: 'any',
  hint,
})
const price = (name: string, label: string, isNeeded = false): FormField => ({
  name,
  label,
  kind: 'number',
  min: 0,
  step: 'any',
  ...(isNeeded && { hint: 'Needed.' }),
})

/** `isThere`: it is changed, not added; its name stays. */
export const upstreamGroups = (isThere: boolean): FieldGroup[] => [
  {
    legend: 'The provider',
    fields: [
      ...(isThere
        ? []
        : [
            {
              name: 'name',
              label: 'Name',
              kind: 'text',
              required: true,
              placeholder: 'openai',
              hint: 'Small letters, digits, “.”, “_” and “-”; it stays.',
            } as const,
          ]),
      {
        name: 'base_url',
        label: 'Base URL',
        kind: 'url',
        required: true,
        placeholder: 'https://api.openai.com/v1',
        hint: isThere
          ? 'Another host needs its credential again.'
          : 'What an SDK would be given, such as https://api.openai.com/v1 or https://api.anthropic.com.',
      },
      { name: 'dialects', label: 'Dialects it speaks', kind: 'choices', required: true, options: formats.map(({ name }) => ({ value: name, label: name })) },
      { name: 'models', label: 'Models', kind: 'lines', hint: 'Patterns such as gpt-*, one a line. Empty: all of them.' },
      ...(isThere ? [{ name: 'active', label: 'Active', kind: 'flag', hint: 'No call goes to an upstream that is not active.' } as const] : []),
    ],
  },
  {
    legend: 'The credential',
    fields: [
      {
        name: 'credential_mode',
        label: 'Whose',
        kind: 'choice',
        options: [
          { value: 'stored', label: 'Ours: kept here, encrypted' },
          { value: 'passthrough', label: 'The caller’s own: passed through' },
        ],
      },
      {
        name: 'credential',
        label: 'Credential',
        kind: 'secret',
        hint: `The provider’s API key. It is never shown again.${isThere ? ' Empty: it stays as it is.' : ''}`,
      },
      ...(isThere ? [{ name: REMOVE_CREDENTIAL, label: 'Take the stored credential away', kind: 'flag' } as const] : []),
    ],
  },
  {
    legend: 'Which goes first',
    fields: [
      {
        name: 'priority',
        label: 'Priority',
        kind: 'number',
        min: 0,
        max: 1_000,
        hint: 'Upstreams of the highest priority are asked first, the others when those fail.',
      },
      { name: 'weight', label: 'Weight', kind: 'number', min: 1, max: 1_000, hint: 'Among those of the same priority: how large a part of the calls.' },
      {
        name: 'region',
        label: 'Region',
        kind: 'text',
        empty: 'null',
        placeholder: 'eu-west',
        hint: 'Where it lies, for tenants and installations that allow only some regions.',
      },
    ],
  },
  {
    legend: 'Time-outs',
    folded: true,
    hint: 'In seconds. Empty: the installation’s.',
    fields: [
      seconds('connect_seconds', 'Connecting', 60, 'Until there is a connection.'),
      seconds('first_byte_seconds', 'First byte', 3_600, 'Until the answer begins.'),
      seconds('idle_seconds', 'Between bytes', 3_600, 'While the answer comes.'),
      seconds('total_seconds', 'All of it', 86_400, 'Of an attempt and its whole answer, however steadily it comes.'),
    ],
  },
  {
    legend: 'Prices',
    folded: true,
    hint: 'In US dollars for a million tokens. The first pattern that fits counts, and the catalogue does not; without any the catalogue’s prices hold. 0 is free.',
    fields: [
      {
        kind: 'rows',
        name: 'prices',
        label: 'Price',
        hint: 'Save for more rows.',
        columns: [
          { name: 'model', label: 'Model pattern', kind: 'text' },
          price('input', 'Input', true),
          price('output', 'Output', true),
          price('cached_input', 'Cached input'),
          price('cache_write', 'Cache write'),
          price('reasoning', 'Reasoning'),
          price('audio_input', 'Audio input'),
          price('audio_output', 'Audio output'),
        ],
      },
    ],
  },
]

export const newUpstreamValues = (): URLSearchParams => new URLSearchParams({ dialects: 'openai-chat', credential_mode: 'stored', priority: '0', weight: '1' })
