/** Tenants: whose calls are governed together. */
import type { Refused } from '../api.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { changesIn, type Option, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { only } from './only.ts'
import { newTenantValues, type Tenant, tenantGroups } from './tenant-fields.ts'
import { closePage, createdPage, type TenantsFound, tenantPage, tenantsPage } from './tenants-view.ts'

const PAGE = 50

export const tenantPages: readonly Page[] = [
  { path: '/tenants', nav: { label: 'Tenants', group: 'Run', scope: 'tenants:read' }, get: list, post: create },
  { path: '/tenants/new', get: only('tenants:write', async (visit) => newTenant(visit, newTenantValues(), null)) },
  { path: '/tenants/:id', get: shown },
  { path: '/tenants/:id/edit', get: only('tenants:write', edit), post: change },
  { path: '/tenants/:id/close', get: only('tenants:write', async (visit) => closing(visit, null)), post: close },
]

async function list(visit: Visit): Promise<Reply> {
  const found = await visit.api.get<TenantsFound>('/v1/tenants', { limit: PAGE, offset: visit.query.get('offset') })
  return view('Tenants', tenantsPage(visit, found))
}

/** None for whoever may not change rules: a preset is rules. */
async function presetsFor(visit: Visit): Promise<Option[]> {
  if (!visit.may('rules:write')) return []
  const { presets } = await visit.api.get<{ presets: { name: string }[] }>('/v1/rules/presets')
  return presets.map(({ name }) => ({ value: name, label: name }))
}

async function newTenant(visit: Visit, values: URLSearchParams, refused: Refused | null): Promise<Reply> {
  const groups = tenantGroups({ isThere: false, presets: await presetsFor(visit) })
  const body = groupedForm({ action: visit.link('/tenants'), groups, values, refused, submit: 'Create the tenant', cancel: visit.link('/tenants') })
  return view('Create a tenant', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const groups = tenantGroups({ isThere: false, presets: await presetsFor(visit) })
  const answer = await visit.api.ask<Tenant & { api_key: string }>('POST', '/v1/tenants', { body: readForm(groups, visit.form) })
  if (!answer.ok) return newTenant(visit, sentValues(groups, visit.form), answer)
  return view(`${answer.json.name} was created`, createdPage(visit, answer.json), { status: 201 })
}

const pathOf = (visit: Visit): string => `/v1/tenants/${encodeURIComponent(visit.params.id ?? '')}`
const found = (visit: Visit): Promise<Tenant> => visit.api.get<Tenant>(pathOf(visit))

async function shown(visit: Visit): Promise<Reply> {
  const tenant = await found(visit)
  return view(tenant.name, tenantPage(visit, tenant))
}

async function edit(visit: Visit): Promise<Reply> {
  const tenant = await found(visit)
  const groups = tenantGroups({ isThere: true, presets: await presetsFor(visit) })
  const values = shownIn(groups, tenant)
  return editing(visit, tenant, { groups, values, was: values, refused: null })
}

interface Editing {
  groups: ReturnType<typeof tenantGroups>
  values: URLSearchParams
  was: URLSearchParams
  refused: Refused | null
}

function editing(visit: Visit, tenant: Tenant, form: Editing): Reply {
  const cancel = visit.link(`/tenants/${tenant.tenant_id}`)
  const body = groupedForm({ action: visit.link(`/tenants/${tenant.tenant_id}/edit`), submit: 'Save', cancel, ...form })
  return view(`Change ${tenant.name}`, body, { status: form.refused?.status ?? 200 })
}

async function change(visit: Visit): Promise<Reply> {
  const groups = tenantGroups({ isThere: true, presets: await presetsFor(visit) })
  const answer = await visit.api.ask<Tenant>('PATCH', pathOf(visit), { body: changesIn(groups, visit.form) })
  if (answer.ok) return redirect(visit.link(`/tenants/${answer.json.tenant_id}`), `${answer.json.name} was changed. Every process knows it within a second.`)
  const was = wasIn(visit.form)
  return editing(visit, await found(visit), { groups, values: sentValues(groups, visit.form), was, refused: answer })
}

async function closing(visit: Visit, refused: Refused | null): Promise<Reply> {
  const tenant = await found(visit)
  return view(`Close ${tenant.name}`, closePage(visit, tenant, refused), { status: refused?.status ?? 200 })
}

async function close(visit: Visit): Promise<Reply> {
  const tenant = await found(visit)
  if ((visit.form.get('name') ?? '').trim() !== tenant.name) return closing(visit, otherName(tenant))
  const answer = await visit.api.ask('DELETE', pathOf(visit))
  return answer.ok ? redirect('/tenants', `${tenant.name} is closed, and all its keys are revoked.`) : closing(visit, answer)
}

const otherName = ({ name }: Tenant): Refused => ({
  ok: false,
  status: 422,
  code: 'CONFIG_ERROR',
  message: `Nothing was done: to close it, type its name, ${name}.`,
  field: 'name',
  problems: [],
  requestId: '',
})
