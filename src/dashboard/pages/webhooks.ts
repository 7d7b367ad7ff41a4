/** Webhooks: who else is told of what happens, and what became of it. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { linkButton, secretOnce } from '../parts/controls.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { time } from '../parts/figures.ts'
import { changesIn, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { tenantChoice, tenantOf } from '../parts/tenant-choice.ts'
import { only } from './only.ts'
import { type Delivery, type Webhook, webhookGroups } from './webhook-fields.ts'
import {
  type DeliveriesFound,
  OF,
  pathOf,
  type Replayed,
  type Rest,
  replayGroups,
  SHOW,
  type WebhooksFound,
  webhookPage,
  webhooksPage,
} from './webhooks-view.ts'

const PAGE = 50
const DELIVERIES_PAGE = 25
const EVERYTHING = '*'

export const webhookPages: readonly Page[] = [
  { path: '/webhooks', nav: { label: 'Webhooks', group: 'Run', scope: 'webhooks:read' }, get: list, post: create },
  { path: '/webhooks/new', get: only('webhooks:write', async (visit) => newWebhook(visit, new URLSearchParams({ events: EVERYTHING }), null)) },
  { path: '/webhooks/:id', get: async (visit) => shown(visit, {}) },
  { path: '/webhooks/:id/edit', get: only('webhooks:write', edit), post: change },
  { path: '/webhooks/:id/test', post: test },
  { path: '/webhooks/:id/rotate-secret', post: rotate },
  { path: '/webhooks/:id/replay', post: replay },
  { path: '/webhooks/:id/deliveries/:delivery/replay', post: replayOne },
  { path: '/webhooks/:id/remove', post: remove },
]

async function list(visit: Visit): Promise<Reply> {
  const found = await visit.api.get<WebhooksFound>('/v1/webhooks', { limit: PAGE, offset: visit.query.get('offset') })
  return view('Webhooks', webhooksPage(visit, found))
}

function newWebhook(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body = groupedForm({
    action: visit.link('/webhooks'),
    groups: webhookGroups(false),
    values,
    refused,
    submit: 'Add the webhook',
    cancel: visit.link('/webhooks'),
    before: tenantChoice(visit, values, { none: 'Every tenant, and the installation', refused }),
  })
  return view('Add a webhook', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const groups = webhookGroups(false)
  const answer = await visit.api.ask<Webhook & { secret: string }>('POST', '/v1/webhooks', { body: readForm(groups, visit.form), tenant: tenantOf(visit) })
  if (!answer.ok) return newWebhook(visit, sentValues(groups, visit.form), answer)
  const body = html`${secretOnce('Its secret', answer.json.secret, 'It is shown only now. The receiver verifies with it that deliveries are ours.')}
    <p>Send it a test next, and see on its page what came of it.</p>
    ${linkButton(pathOf(visit, answer.json), 'Go on to the webhook', { isPrimary: true })}`
  return view('The webhook was added', body, { status: 201 })
}

/** Of the tenant that the address names, or the chosen one; without either the installation's. */
const ownerOf = (visit: Visit): string | null => (visit.me.tenant_id === null ? visit.query.get(OF) : null) || visit.tenantId
const api = (visit: Visit, more = ''): string => `/v1/webhooks/${encodeURIComponent(visit.params.id ?? '')}${more}`
const found = (visit: Visit): Promise<Webhook> => visit.api.get<Webhook>(api(visit), {}, { tenant: ownerOf(visit) })

interface Happened {
  refused?: Refused | null
  tested?: Delivery | null
  /** What the form for replaying was sent. */
  values?: URLSearchParams
  /** More was to be replayed than can be at once. */
  rest?: Rest | null
}

async function shown(visit: Visit, happened: Happened): Promise<Reply> {
  const webhook = await found(visit)
  const filter = { state: visit.query.get(SHOW), event: visit.query.get('event') }
  const deliveries = await visit.api.get<DeliveriesFound>(
    api(visit, '/deliveries'),
    { ...filter, limit: DELIVERIES_PAGE, offset: visit.query.get('offset') },
    { tenant: ownerOf(visit) },
  )
  const body = webhookPage(visit, webhook, {
    deliveries,
    filter,
    refused: null,
    tested: null,
    values: new URLSearchParams({ state: 'dead' }),
    rest: null,
    ...happened,
  })
  return view(webhook.description || new URL(webhook.url).host, body, { status: happened.refused?.status ?? 200 })
}

async function edit(visit: Visit): Promise<Reply> {
  const webhook = await found(visit)
  const values = shownIn(webhookGroups(true), webhook)
  return editing(visit, webhook, { values, was: values, refused: null })
}

const editing = (visit: Visit, webhook: Webhook, form: { values: URLSearchParams; was: URLSearchParams; refused: Refused | null }): Reply =>
  view(
    'Change the webhook',
    groupedForm({ action: pathOf(visit, webhook, '/edit'), groups: webhookGroups(true), submit: 'Save', cancel: pathOf(visit, webhook), ...form }),
    {
      status: form.refused?.status ?? 200,
    },
  )

async function change(visit: Visit): Promise<Reply> {
  const groups = webhookGroups(true)
  const answer = await visit.api.ask<Webhook>('PATCH', api(visit), { body: changesIn(groups, visit.form), tenant: ownerOf(visit) })
  if (answer.ok) return redirect(pathOf(visit, answer.json), 'The webhook was changed.')
  const was = wasIn(visit.form)
  return editing(visit, await found(visit), { values: sentValues(groups, visit.form), was, refused: answer })
}

async function test(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<Delivery>('POST', api(visit, '/test'), { body: {}, tenant: ownerOf(visit) })
  return shown(visit, answer.ok ? { tested: answer.json } : { refused: answer })
}

async function rotate(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<{ secret: string; previous_secret_until: string }>('POST', api(visit, '/rotate-secret'), {
    body: {},
    tenant: ownerOf(visit),
  })
  if (!answer.ok) return shown(visit, { refused: answer })
  const { secret, previous_secret_until: until } = answer.json
  const body = html`${secretOnce('Its new secret', secret, 'It is shown only now. Give it to the receiver.')}
    <p>Until ${time(until)} the one before signs as well, so that no delivery fails meanwhile.</p>
    ${linkButton(pathOf(visit, await found(visit)), 'Back to the webhook', { isPrimary: true })}`
  return view('The secret was changed', body)
}

async function replay(visit: Visit): Promise<Reply> {
  const from_id = visit.form.get('from_id') || undefined
  const answer = await visit.api.ask<Replayed>('POST', api(visit, '/replay'), {
    body: { ...readForm(replayGroups, visit.form), from_id },
    tenant: ownerOf(visit),
  })
  if (!answer.ok) return shown(visit, { refused: answer, values: visit.form })
  const { replayed, next_from: from, next_from_id: fromId } = answer.json
  if (from === null) return redirect(pathOf(visit, await found(visit)), `${replayed} ${replayed === 1 ? 'event is' : 'events are'} sent again.`)
  const { to = '', state = '' } = Object.fromEntries(visit.form)
  return shown(visit, { rest: { ...answer.json, values: { from, from_id: fromId ?? '', to, state } } })
}

async function replayOne(visit: Visit): Promise<Reply> {
  const path = `/v1/webhooks/deliveries/${encodeURIComponent(visit.params.delivery ?? '')}/replay`
  const answer = await visit.api.ask<Delivery>('POST', path, { body: {}, tenant: ownerOf(visit) })
  if (!answer.ok) return shown(visit, { refused: answer })
  return redirect(pathOf(visit, await found(visit)), `${answer.json.event} is sent again, under the same event id.`)
}

async function remove(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask('DELETE', api(visit), { tenant: ownerOf(visit) })
  return answer.ok ? redirect(visit.link('/webhooks'), 'The webhook, its secret and its deliveries were removed.') : shown(visit, { refused: answer })
}
