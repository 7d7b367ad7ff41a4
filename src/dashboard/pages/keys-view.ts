import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { errorsOf, form, numberField } from '../parts/fields.ts'
import { badge, code, time } from '../parts/figures.ts'
import { advice, empty } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { type AgentNames, agentLink } from './agent-names.ts'
import { type Key, stateOf } from './key-fields.ts'
import { limitsInWords } from './limit-fields.ts'
import type { Tenant } from './tenant-fields.ts'

const WEEK_SECONDS = 604_800

export interface KeysFound {
  keys: Key[]
  total: number
  limit: number
  offset: number
}

export interface Rotated {
  rotated: { prefix: string; name: string; successor: string | null; api_key?: string }[]
  remaining: number
  revoke_old_after_seconds: number
}

export const tenantsWithKeys = (visit: Visit, tenants: readonly Tenant[]): Content =>
  html`<p class="lead">Keys are a tenant’s. Choose whose you want to see.</p>
    ${table({
      caption: 'Tenants, and how many keys each has',
      columns: [{ label: 'Tenant' }, { label: 'Keys that can be used', isNumber: true }, { label: 'State' }],
      rows: tenants.map((tenant) => [
        html`<a href="${visit.link(`/tenants/${tenant.tenant_id}/keys`)}">${tenant.name}</a>`,
        tenant.api_key_count,
        tenant.active ? badge('Active', 'good') : badge('Closed'),
      ]),
      empty: empty(
        'There are no tenants yet',
        html`<p>A tenant comes with its first key.</p>${visit.may('tenants:write') ? linkButton(visit.link('/tenants/new'), 'Create a tenant', { isPrimary: true }) : null}`,
      ),
    })}`

export function keysPage(visit: Visit, tenant: Tenant, { keys, total, limit, offset }: KeysFound, agents: AgentNames, refused: Refused | null): Content {
  const base = `/tenants/${tenant.tenant_id}/keys`
  const mayWrite = visit.may('keys:write')
  const actions = [
    mayWrite && tenant.active ? linkButton(visit.link(`${base}/new`), 'Issue a key', { isPrimary: true }) : null,
    visit.may('ops:write') && tenant.active ? linkButton(visit.link(`${base}/rotate`), 'Rotate all of them') : null,
  ]
  return html`${summary(refused)}
    <p class="lead"><a href="${visit.link(`/tenants/${tenant.tenant_id}`)}">${tenant.name}</a>: what calls are sent with. Of a key Earthflow keeps only what tells it from others, so it is shown once, when it is issued.</p>
    ${tenant.active ? null : advice('This tenant is closed: none of its keys opens anything.')}
    ${heading('Keys', html`<div class="actions">${actions}</div>`)}
    ${table({
      caption: 'Keys, newest first, revoked ones too',
      columns: [
        { label: 'Key' },
        { label: 'State' },
        { label: 'May' },
        { label: 'Last used' },
        { label: 'Narrowed to' },
        ...(mayWrite ? [{ label: 'Actions', isQuiet: true }] : []),
      ],
      rows: keys.map((key) => rowOf(visit, key, agents, base, mayWrite)),
      empty: empty('It has no keys', html`<p>Nothing can be sent for this tenant until one is issued.</p>`),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link(base, query) })}`
}

function rowOf(visit: Visit, key: Key, agents: AgentNames, base: string, mayWrite: boolean): Content[] {
  const { word, tone, isUsable } = stateOf(key, visit.now)
  const path = `${base}/${key.prefix}`
  const narrowed = [
    ...(key.allowed_models ?? []),
    ...(key.allowed_addresses ?? []),
    ...(key.client_certificate === null ? [] : [key.client_certificate]),
    limitsInWords(key.limits),
  ].filter((one) => one !== '')
  return [
    html`${key.name}<br>${code(key.prefix)}${key.agent_id === null ? null : html`<br><span class="quiet">of</span> ${agentLink(visit, key.agent_id, agents)}`}`,
    html`${badge(word, tone)}<br><span class="quiet">${until(key)}</span>`,
    key.scopes.join(', '),
    time(key.last_used_at, { none: 'never', isShort: true }),
    narrowed.length === 0 ? '–' : narrowed.join(', '),
    ...(mayWrite
      ? [
          isUsable
            ? html`<div class="actions">${key.successor === null ? linkButton(visit.link(path), 'Change', { about: `the key ${key.name}` }) : null}${postButton(
                {
                  action: visit.link(`${path}/revoke`),
                  label: 'Revoke',
                  about: `the key ${key.name}`,
                  isDangerous: true,
                  confirm: `Revoke ${key.name} (${key.prefix}) for good? Whoever uses it is refused within a second.`,
                },
              )}</div>`
            : null,
        ]
      : []),
  ]
}

/** Until when it opens something, or since when nothing. */
function until({ revoked_at: revoked, expires_at: expires, successor }: Key): Content {
  if (revoked !== null) return time(revoked)
  return html`${expires === null ? 'without an end' : html`until ${time(expires)}`}${successor === null ? null : html`,<br>by ${code(successor)}`}`
}

interface RotationForm {
  action: string
  cancel: string
  values: URLSearchParams
  keys: readonly Key[]
  refused: Refused | null
}

export function rotationForm({ action, cancel, values, keys, refused }: RotationForm): Content {
  return html`${summary(refused)}
    <p class="lead">Each key that can be used gets a successor with the same rights, which is shown once, on the page that follows. The old ones go on for a while, so that programs can be given the new ones.</p>
    ${table({
      caption: 'Keys that would be replaced',
      isCaptionShown: true,
      columns: [{ label: 'Key' }, { label: 'Prefix' }],
      rows: keys.map(({ name, prefix }) => [name, code(prefix)]),
      empty: empty('No key can be rotated', html`<p>None can be used, or each has its successor already.</p>`),
    })}
    ${
      keys.length === 0
        ? null
        : form({
            action,
            cancel,
            submit: `Rotate ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`,
            isDangerous: true,
            content: numberField({
              name: 'revoke_old_after_seconds',
              label: 'Seconds that the old keys go on',
              isRequired: true,
              min: 0,
              max: WEEK_SECONDS,
              value: values.get('revoke_old_after_seconds'),
              hint: 'From 0, which revokes them at once, to 604800, a week.',
              error: errorsOf(refused)('revoke_old_after_seconds'),
            }),
          })
    }`
}

/** The only page that shows the new keys. */
export const rotatedPage = ({ rotated, remaining, revoke_old_after_seconds: seconds }: Rotated, keys: string): Content =>
  html`<div class="secret" role="status"><p class="secret-label">The new keys are shown only now.</p>
      ${table({
        caption: 'New keys',
        columns: [{ label: 'Key' }, { label: 'Old prefix' }, { label: 'New key' }],
        rows: rotated.map(({ name, prefix, api_key: key }) => [name, code(prefix), html`<code data-secret>${key}</code>`]),
        empty: empty('Nothing was rotated'),
      })}
      <p class="quiet">The old ones go on for ${seconds} seconds. Give each program its new key before then.</p></div>
    ${remaining > 0 ? html`<p>${remaining} more keys are left: rotate again when these are given out.</p>` : null}
    <p><a href="${keys}">All keys of the tenant</a></p>`
