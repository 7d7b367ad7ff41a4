/** What a webhook is, and what can be said of one. */
import { EVERY_EVENT, events } from '../../webhooks/event.ts'
import type { Tone } from '../parts/figures.ts'
import type { FieldGroup } from '../parts/form-fields.ts'

export interface Webhook {
  id: string
  tenant_id: string | null
  url: string
  description: string
  events: string[]
  active: boolean
  failing_since: string | null
  disabled_reason: 'gone' | 'failing' | null
  previous_secret_until: string | null
  created_by: string
  created_at: string
}

export interface Delivery {
  id: string
  event_id: string
  event: string
  webhook_id: string
  state: 'pending' | 'delivered' | 'dead'
  attempts: { at: string; status: number | null; error: string | null; ms: number; response: string | null }[]
  next_attempt_at: string | null
  created_at: string
  finished_at: string | null
}

export function stateOf({ active, disabled_reason: why, failing_since: failing }: Webhook): { word: string; tone: Tone } {
  if (why === 'gone') return { word: 'Disabled: it answered 410', tone: 'bad' }
  if (why === 'failing') return { word: 'Disabled: it failed for days', tone: 'bad' }
  if (!active) return { word: 'Not active', tone: 'plain' }
  return failing === null ? { word: 'Active', tone: 'good' } : { word: 'Failing', tone: 'warning' }
}

export const deliveryTones: Readonly<Record<Delivery['state'], Tone>> = { pending: 'info', delivered: 'good', dead: 'bad' }

/** `isThere`: it is changed, not added; another secret is made on its page. */
export const webhookGroups = (isThere: boolean): FieldGroup[] => [
  {
    legend: 'Where to',
    fields: [
      {
        name: 'url',
        label: 'URL',
        kind: 'url',
        required: true,
        placeholder: 'https://siem.example.com/earthflow',
        hint: 'Events are posted there: https, and an address that Earthflow may call. Its path may be a secret, and is in no log.',
      },
      { name: 'description', label: 'Description', kind: 'text', empty: 'empty', hint: 'For people.' },
      ...(isThere
        ? [
            {
              name: 'active',
              label: 'Active',
              kind: 'flag',
              hint: 'While it is not, nothing is sent: what waited is dead, and can be replayed once it is active again.',
            } as const,
          ]
        : [
            {
              name: 'secret',
              label: 'Secret',
              kind: 'secret',
              hint: 'With what deliveries are signed: whsec_ and base64 of 24 to 64 bytes, or any 24 to 128 characters without blanks. Empty: one is made.',
            } as const,
          ]),
    ],
  },
  {
    legend: 'What it is told',
    fields: [
      {
        name: 'events',
        label: 'Events',
        kind: 'choices',
        required: true,
        options: [
          { value: EVERY_EVENT, label: 'Everything', hint: 'Also the events of later versions.' },
          ...Object.entries(events).map(([name, about]) => ({ value: name, label: name, hint: about })),
        ],
      },
    ],
  },
]
