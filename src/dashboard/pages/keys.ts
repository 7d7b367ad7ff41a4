/** API keys of tenants: with what calls are sent. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { secretOnce } from '../parts/controls.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { code } from '../parts/figures.ts'
import { changesIn, type FieldGroup, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { agentNames } from './agent-names.ts'
import { firstCall } from './first-call.ts'
import { changedKeyGroups, givable, type Issued, type Key, newKeyGroups, stateOf } from './key-fields.ts'
import { type KeysFound, keysPage, type Rotated, rotatedPage, rotationForm, tenantsWithKeys } from './keys-view.ts'
import { only } from './only.ts'
import type { Tenant } from './tenant-fields.ts'

const PAGE = 50
/** As many as an agent can be chosen from. */
const AGENTS_MAX = 1_000
const TENANTS_MAX = 1_000
const KEYS_MAX = 1_000
const REVOKE_AFTER_SECONDS = 3_600

export const keyPages: readonly Page[] = [
  { path: '/keys', nav: { label: 'Keys', group: 'Run', scope: 'keys:read' }, get: everybody },
  { path: '/tenants/:id/keys', get: async (visit) => list(visit, null), post: issue },
  { path: '/tenants/:id/keys/new', get: only('keys:write', async (visit) => newKey(visit, newValues(visit), null)) },
  { path: '/tenants/:id/keys/rotate', get: only('ops:write', async (visit) => rotation(visit, null)), post: rotate },
  { path: '/tenants/:id/keys/:prefix', get: only('keys:write', edit), post: change },
  { path: '/tenants/:id/keys/:prefix/revoke', post: revoke },
]

const newValues = ({ query }: Visit): URLSearchParams => new URLSearchParams({ scopes: 'proxy:write', agent_id: query.get('agent') ?? '' })
const idOf = ({ params }: Visit): string => encodeURIComponent(params.id ?? '')
const here = (visit: Visit, more = ''): string => visit.link(`/tenants/${idOf(visit)}/keys${more}`)
const api = (visit: Visit, more = ''): string => `/v1/tenants/${idOf(visit)}/keys${more}`
const keyPath = ({ params }: Visit): string => `/${encodeURIComponent(params.prefix ?? '')}`
const tenantOf = (visit: Visit): Promise<Tenant> => visit.api.get<Tenant>(`/v1/tenants/${idOf(visit)}`)

/** Keys are a tenant's: whoever sees several chooses first. */
async function everybody(visit: Visit): Promise<Reply> {
  if (visit.tenantId !== null) return redirect(visit.link(`/tenants/${visit.tenantId}/keys`))
  const { tenants } = await visit.api.get<{ tenants: Tenant[] }>('/v1/tenants', { limit: TENANTS_MAX })
  return view('Keys', tenantsWithKeys(visit, tenants))
}

async function list(visit: Visit, refused: Refused | null): Promise<Reply> {
  const tenant = await tenantOf(visit)
  const found = await visit.api.get<KeysFound>(api(visit), { limit: PAGE, offset: visit.query.get('offset') })
  return view(`Keys of ${tenant.name}`, keysPage(visit, tenant, found, await agentNames(visit, tenant.tenant_id), refused), { status: refused?.status ?? 200 })
}

async function groupsOf(visit: Visit): Promise<FieldGroup[]> {
  const found = await visit.api.get<{ agents: { id: string; name: string }[] }>(
    '/v1/agents',
    { status: 'active', limit: AGENTS_MAX },
    { tenant: visit.params.id ?? null },
  )
  const agents = found.agents.map(({ id, name }) => ({ value: id, label: name }))
  return newKeyGroups({ scopes: givable(visit.may), agents, mayBindCertificates: visit.me.tenant_id === null })
}

async function newKey(visit: Visit, values: URLSearchParams, refused: Refused | null, known?: FieldGroup[]): Promise<Reply> {
  const groups = known ?? (await groupsOf(visit))
  const tenant = await tenantOf(visit)
  const body = groupedForm({ action: here(visit), groups, values, refused, submit: 'Issue the key', cancel: here(visit) })
  return view(`Issue a key for ${tenant.name}`, body, { status: refused?.status ?? 200 })
}

async function issue(visit: Visit): Promise<Reply> {
  const groups = await groupsOf(visit)
  const answer = await visit.api.ask<Issued>('POST', api(visit), { body: readForm(groups, visit.form) })
  if (!answer.ok) return newKey(visit, sentValues(groups, visit.form), answer, groups)
  const { api_key: key, name, prefix, scopes } = answer.json
  const body = html`${secretOnce(`The key ${name}`, key)}
    <p>In lists it is ${code(prefix)}. It may: ${scopes.join(', ')}.</p>
    ${scopes.includes('proxy:write') ? firstCall(visit, key) : null}
    <p><a href="${here(visit)}">All keys of the tenant</a></p>`
  return view('The key was issued', body, { status: 201 })
}

/** The API has no way to read one key alone: it is among the first ones of the list, or asked page by page. */
async function keyOf(visit: Visit): Promise<Key | null> {
  for (let offset = 0; ; offset += KEYS_MAX) {
    const { keys, total } = await visit.api.get<KeysFound>(api(visit), { limit: KEYS_MAX, offset })
    const found = keys.find(({ prefix }) => prefix === visit.params.prefix)
    if (found) return found
    if (offset + keys.length >= total || keys.length === 0) return null
  }
}

const noKey = (visit: Visit): Reply =>
  view('No such key', html`<p>The tenant has no such key. <a href="${here(visit)}">All keys of the tenant</a></p>`, { status: 404 })

async function edit(visit: Visit): Promise<Reply> {
  const key = await keyOf(visit)
  if (key === null) return noKey(visit)
  const was = shownIn(changedKeyGroups, key)
  return editing(visit, { values: was, was, refused: null })
}

const editing = (visit: Visit, form: { values: URLSearchParams; was: URLSearchParams; refused: Refused | null }): Reply =>
  view(
    `Change the key ${visit.params.prefix}`,
    groupedForm({ action: here(visit, keyPath(visit)), groups: changedKeyGroups, submit: 'Save', cancel: here(visit), ...form }),
    { status: form.refused?.status ?? 200 },
  )

async function change(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<Key>('PATCH', api(visit, keyPath(visit)), { body: changesIn(changedKeyGroups, visit.form) })
  if (answer.ok) return redirect(here(visit), `The key ${answer.json.name} was changed.`)
  const was = wasIn(visit.form)
  return editing(visit, { values: sentValues(changedKeyGroups, visit.form), was, refused: answer })
}

async function revoke(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask('DELETE', api(visit, keyPath(visit)))
  return answer.ok ? redirect(here(visit), `The key ${visit.params.prefix} is revoked: no process takes it after a second.`) : list(visit, answer)
}

async function rotation(visit: Visit, refused: Refused | null): Promise<Reply> {
  const tenant = await tenantOf(visit)
  const { keys } = await visit.api.get<KeysFound>(api(visit), { limit: KEYS_MAX })
  const rotatable = keys.filter((key) => stateOf(key, visit.now).isUsable && key.successor === null)
  const values = refused === null ? new URLSearchParams({ revoke_old_after_seconds: String(REVOKE_AFTER_SECONDS) }) : visit.form
  const body = rotationForm({ action: here(visit, '/rotate'), cancel: here(visit), values, keys: rotatable, refused })
  return view(`Rotate the keys of ${tenant.name}`, body, { status: refused?.status ?? 200 })
}

async function rotate(visit: Visit): Promise<Reply> {
  const seconds = (visit.form.get('revoke_old_after_seconds') ?? '').trim()
  const body = {
    tenant_id: visit.params.id,
    revoke_old_after_seconds: seconds === '' ? undefined : Number.isFinite(Number(seconds)) ? Number(seconds) : seconds,
  }
  const answer = await visit.api.ask<Rotated>('POST', '/v1/ops/rotate-keys', { body })
  return answer.ok ? view('The keys were rotated', rotatedPage(answer.json, here(visit))) : rotation(visit, answer)
}
