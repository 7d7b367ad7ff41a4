/** Upstreams: the providers that calls go to, and how they fare. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, part, type Reply, redirect, type Visit, view } from '../page.ts'
import { heading, linkButton, live } from '../parts/controls.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { changesIn, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { tenantChoice, tenantOf } from '../parts/tenant-choice.ts'
import { only } from './only.ts'
import { type Checked, newUpstreamValues, REMOVE_CREDENTIAL, type Upstream, upstreamGroups } from './upstream-fields.ts'
import { OF, pathOf, type UpstreamsFound, upstreamPage, upstreamsTable } from './upstreams-view.ts'

const PAGE = 50
const LIVE_SECONDS = 5

export const upstreamPages: readonly Page[] = [
  { path: '/upstreams', nav: { label: 'Upstreams', group: 'Run', scope: 'upstreams:read' }, get: list, post: create },
  { path: '/upstreams/new', get: only('upstreams:write', async (visit) => newUpstream(visit, newUpstreamValues(), null)) },
  // Below a word of their own: an upstream may be called `new`.
  { path: '/upstreams/at/:name', get: async (visit) => shown(visit, {}) },
  { path: '/upstreams/at/:name/edit', get: only('upstreams:write', edit), post: change },
  { path: '/upstreams/at/:name/check', post: check },
  { path: '/upstreams/at/:name/active', post: activate },
  { path: '/upstreams/at/:name/remove', post: remove },
]

async function list(visit: Visit): Promise<Reply> {
  const offset = visit.query.get('offset')
  const found = await visit.api.get<UpstreamsFound>('/v1/upstreams', { limit: PAGE, offset })
  if (visit.isPart) return part(upstreamsTable(visit, found))
  const body = html`<p class="lead">An upstream is a provider that calls go to: by the model they name, from the highest priority down, past those that do not answer.</p>
    ${heading('Upstreams', visit.may('upstreams:write') ? linkButton(visit.link('/upstreams/new'), 'Add an upstream', { isPrimary: true }) : null)}
    ${live({ id: 'upstreams', source: visit.link('/upstreams', { offset }), seconds: LIVE_SECONDS, content: upstreamsTable(visit, found) })}
    <p class="quiet">What is said of their state is what the process has seen that answers: each sees for itself.</p>`
  return view('Upstreams', body)
}

function newUpstream(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body = groupedForm({
    action: visit.link('/upstreams'),
    groups: upstreamGroups(false),
    values,
    refused,
    submit: 'Add the upstream',
    cancel: visit.link('/upstreams'),
    before: visit.tenants.length === 0 ? null : tenantChoice(visit, values, { none: 'All tenants', refused }),
  })
  return view('Add an upstream', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const groups = upstreamGroups(false)
  const answer = await visit.api.ask<Upstream>('POST', '/v1/upstreams', { body: readForm(groups, visit.form), tenant: tenantOf(visit) })
  if (!answer.ok) return newUpstream(visit, sentValues(groups, visit.form), answer)
  return redirect(pathOf(visit, answer.json), `${answer.json.name} was added. Check it next: that asks the provider for its models.`)
}

/** Of the tenant that the address names, or the chosen one; without either the installation's. */
const ownerOf = (visit: Visit): string | null => (visit.me.tenant_id === null ? visit.query.get(OF) : null) || visit.tenantId
const api = (visit: Visit, more = ''): string => `/v1/upstreams/${encodeURIComponent(visit.params.name ?? '')}${more}`
const found = (visit: Visit): Promise<Upstream> => visit.api.get<Upstream>(api(visit), {}, { tenant: ownerOf(visit) })

async function shown(visit: Visit, { checked = null, refused = null }: { checked?: Checked | null; refused?: Refused | null }): Promise<Reply> {
  const upstream = await found(visit)
  return view(upstream.name, upstreamPage(visit, upstream, { checked, refused }), { status: refused?.status ?? 200 })
}

async function edit(visit: Visit): Promise<Reply> {
  const upstream = await found(visit)
  const values = shownIn(upstreamGroups(true), upstream)
  return editing(visit, upstream, { values, was: values, refused: null })
}

const editing = (visit: Visit, upstream: Upstream, form: { values: URLSearchParams; was: URLSearchParams; refused: Refused | null }): Reply =>
  view(
    `Change ${upstream.name}`,
    groupedForm({ action: pathOf(visit, upstream, '/edit'), groups: upstreamGroups(true), submit: 'Save', cancel: pathOf(visit, upstream), ...form }),
    { status: form.refused?.status ?? 200 },
  )

async function change(visit: Visit): Promise<Reply> {
  const groups = upstreamGroups(true)
  const { [REMOVE_CREDENTIAL]: isRemoved, ...body } = changesIn(groups, visit.form)
  // No pattern is every model: left out of a change it would stay.
  if (visit.form.has('models') && (visit.form.get('models') ?? '').trim() === '') body.models = ['*']
  if (isRemoved === true) body.credential = null
  const answer = await visit.api.ask<Upstream>('PATCH', api(visit), { body, tenant: ownerOf(visit) })
  if (answer.ok) return redirect(pathOf(visit, answer.json), `${answer.json.name} was changed. Every process knows it within a second.`)
  const was = wasIn(visit.form)
  return editing(visit, await found(visit), { values: sentValues(groups, visit.form), was, refused: answer })
}

async function check(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<Checked>('POST', api(visit, '/check'), { body: {}, tenant: ownerOf(visit) })
  return shown(visit, answer.ok ? { checked: answer.json } : { refused: answer })
}

async function activate(visit: Visit): Promise<Reply> {
  const active = visit.form.get('active') === 'true'
  const answer = await visit.api.ask<Upstream>('PATCH', api(visit), { body: { active }, tenant: ownerOf(visit) })
  if (!answer.ok) return shown(visit, { refused: answer })
  return redirect(pathOf(visit, answer.json), active ? `Calls go to ${answer.json.name} again.` : `No call goes to ${answer.json.name} any more.`)
}

async function remove(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask('DELETE', api(visit), { tenant: ownerOf(visit) })
  return answer.ok ? redirect(visit.link('/upstreams'), `${visit.params.name} and its credential were removed.`) : shown(visit, { refused: answer })
}
