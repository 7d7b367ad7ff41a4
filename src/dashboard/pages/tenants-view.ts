import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager, secretOnce } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { errorsOf, form, textField } from '../parts/fields.ts'
import { badge, code, exact, time } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'
import { firstCall } from './first-call.ts'
import { limitsInWords } from './limit-fields.ts'
import { eachInWords, type Tenant } from './tenant-fields.ts'

export interface TenantsFound {
  tenants: Tenant[]
  total: number
  limit: number
  offset: number
}

const state = ({ active }: Tenant): Content => (active ? badge('Active', 'good') : badge('Closed'))

export function tenantsPage(visit: Visit, { tenants, total, limit, offset }: TenantsFound): Content {
  const mayWrite = visit.may('tenants:write')
  return html`<p class="lead">A tenant is whose calls are governed together: it has its own keys, rules, limits, budgets and audit log, and sees nothing of the others.</p>
    ${heading('Tenants', mayWrite ? linkButton(visit.link('/tenants/new'), 'Create a tenant', { isPrimary: true }) : null)}
    ${table({
      caption: 'Tenants, newest first',
      columns: [
        { label: 'Tenant' },
        { label: 'State' },
        { label: 'Preset' },
        { label: 'Requests a minute', isNumber: true },
        { label: 'Keys', isNumber: true },
        { label: 'Created' },
      ],
      rows: tenants.map((tenant) => [
        html`<a href="${visit.link(`/tenants/${tenant.tenant_id}`)}">${tenant.name}</a>`,
        state(tenant),
        tenant.rules_preset ?? html`<span class="quiet">none</span>`,
        exact(tenant.max_requests_per_minute),
        visit.may('keys:read')
          ? html`<a href="${visit.link(`/tenants/${tenant.tenant_id}/keys`)}">${tenant.api_key_count}<span class="unseen"> keys of ${tenant.name}</span></a>`
          : tenant.api_key_count,
        time(tenant.created_at),
      ]),
      empty: empty(
        'There are no tenants yet',
        mayWrite
          ? html`<p>Create the first: it comes with a key, with which calls can be sent at once.</p>`
          : html`<p>Whoever runs Earthflow creates them.</p>`,
      ),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link('/tenants', query) })}`
}

/** The only page that shows the first key. */
export const createdPage = (visit: Visit, tenant: Tenant & { api_key: string }): Content =>
  html`${secretOnce('Its first key', tenant.api_key)}
    ${firstCall(visit, tenant.api_key)}
    <div class="actions">${linkButton(visit.link(`/tenants/${tenant.tenant_id}`), `Go on to ${tenant.name}`, { isPrimary: true })}${linkButton(visit.link('/upstreams'), 'See the upstreams')}</div>`

export function tenantPage(visit: Visit, tenant: Tenant): Content {
  const path = (more: string): string => visit.link(`/tenants/${tenant.tenant_id}${more}`)
  const its = (page: string, label: string): Content => html`<li><a href="${visit.link(page, { tenant_id: tenant.tenant_id })}">${label}</a></li>`
  const mayWrite = visit.may('tenants:write')
  const each = eachInWords(tenant)
  return html`${heading('What holds for it', mayWrite ? linkButton(path('/edit'), 'Change', { about: tenant.name, isPrimary: true }) : null)}
    ${facts([
      ['State', state(tenant)],
      ['Id', code(tenant.tenant_id)],
      ['Contact', tenant.contact_email],
      ['Created', time(tenant.created_at)],
      ['Preset', tenant.rules_preset],
      ['What no rule can read', { warn: 'is warned of', allow: 'is allowed', block: 'is blocked' }[tenant.uninspectable]],
      ['When a rule stops a stream', tenant.stream_stop === 'hard' ? 'it ends with an error' : 'it ends as if the model had stopped'],
      ['A held call waits', tenant.escalation_wait_seconds === 0 ? 'not: it is sent again once approved' : `${tenant.escalation_wait_seconds} s`],
      ['Limits', limitsInWords({ ...tenant })],
      ['Limits within it', each.length === 0 ? null : html`<ul class="plain">${each.map((one) => html`<li>${one}</li>`)}</ul>`],
      ['Expected tokens of an answer', tenant.default_max_output_tokens === null ? null : exact(tenant.default_max_output_tokens)],
      ['While Redis is away', tenant.limits_without_redis === 'local' ? 'each process counts by itself' : 'calls are refused'],
      ['Models', tenant.allowed_models?.join(', ') ?? 'every model that an upstream serves'],
      ['Regions', tenant.allowed_regions?.join(', ') ?? 'anywhere'],
      ['On record before a call leaves', tenant.audit_durability ?? 'as the installation does'],
      ['Entries are kept', tenant.audit_retention_days === null ? 'as the installation does' : `${exact(tenant.audit_retention_days)} days`],
    ])}
    ${heading('What belongs to it')}
    <ul class="links">
      ${visit.may('keys:read') ? html`<li><a href="${path('/keys')}">Keys (${tenant.api_key_count} can be used)</a></li>` : null}
      ${its('/rules', 'Rules')}
      ${its('/exchanges', 'Exchanges')}
      ${its('/agents', 'Agents')}
      ${its('/budgets', 'Budgets and costs')}
      ${visit.may('webhooks:read') ? its('/webhooks', 'Webhooks') : null}
      ${visit.may('users:read') ? its('/users', 'People') : null}
    </ul>
    ${mayWrite && tenant.active ? html`${heading('Close it')}<p>Its calls are refused and all its keys revoked. Its rules and its audit log stay.</p>${linkButton(path('/close'), 'Close the tenant', { about: tenant.name })}` : null}`
}

export const closePage = (visit: Visit, tenant: Tenant, refused: Refused | null): Content =>
  html`${summary(refused)}
    <p>All ${tenant.api_key_count} keys of <strong>${tenant.name}</strong> are revoked for good, and its calls refused, within a second. Its rules and its audit log stay.</p>
    ${form({
      action: visit.link(`/tenants/${tenant.tenant_id}/close`),
      submit: 'Close the tenant',
      cancel: visit.link(`/tenants/${tenant.tenant_id}`),
      isDangerous: true,
      content: textField({
        name: 'name',
        label: `Type the tenant’s name, ${tenant.name}, to close it`,
        isRequired: true,
        autocomplete: 'off',
        error: errorsOf(refused)('name'),
      }),
    })}`
