import { eventTypes } from '../../webhooks/event.ts'
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { fieldGroups, summary } from '../parts/field-groups.ts'
import { form, hidden, selectField } from '../parts/fields.ts'
import { badge, code, duration, time } from '../parts/figures.ts'
import type { FieldGroup } from '../parts/form-fields.ts'
import { advice, empty, problem, told } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'
import { seesSeveral, tenantCell, tenantColumn, tenantName } from '../parts/tenant-choice.ts'
import { type Delivery, deliveryTones, stateOf, type Webhook } from './webhook-fields.ts'

/** In an address: whose webhook it is, where it is a tenant's. */
export const OF = 'of'
/** And the state of the deliveries that are shown: the form for replaying has a field of that name. */
export const SHOW = 'show'
const ATTEMPTS_SHOWN = 20

export interface WebhooksFound {
  webhooks: Webhook[]
  total: number
  limit: number
  offset: number
}
export interface DeliveriesFound {
  deliveries: Delivery[]
  total: number
  limit: number
  offset: number
}

export const pathOf = (
  visit: Visit,
  { id, tenant_id: tenantId }: Webhook,
  more = '',
  query: Record<string, string | number | boolean | null | undefined> = {},
): string => visit.link(`/webhooks/${id}${more}`, { [OF]: seesSeveral(visit) ? tenantId : null, ...query })

const state = (webhook: Webhook): Content => {
  const { word, tone } = stateOf(webhook)
  return badge(word, tone)
}
const heard = ({ events }: Webhook): string => (events.includes('*') ? 'everything' : events.join(', '))

export const webhooksPage = (visit: Visit, { webhooks, total, limit, offset }: WebhooksFound): Content =>
  html`<p class="lead">A webhook is told of what happens, signed, at least once, until the schedule of its retries ends. No event holds text of a call, a key or a secret.</p>
    ${heading('Webhooks', visit.may('webhooks:write') ? linkButton(visit.link('/webhooks/new'), 'Add a webhook', { isPrimary: true }) : null)}
    ${table({
      caption: 'Webhooks, newest first',
      columns: [{ label: 'Where to' }, ...tenantColumn(visit), { label: 'State' }, { label: 'Is told' }, { label: 'Failing since' }, { label: 'Added' }],
      rows: webhooks.map((one) => [
        html`<a href="${pathOf(visit, one)}">${one.description || new URL(one.url).host}</a><br><span class="quiet address">${one.url}</span>`,
        ...tenantCell(visit, one.tenant_id),
        state(one),
        heard(one),
        time(one.failing_since),
        time(one.created_at),
      ]),
      empty: empty(
        'There are no webhooks yet',
        html`<p>Add one to tell a SIEM, a chat or a pager of blocked calls, held calls, spent budgets and outages.</p>`,
      ),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link('/webhooks', query) })}`

/** Times are asked in UTC: without JavaScript nobody here knows the reader's zone. */
export const replayGroups: readonly FieldGroup[] = [
  {
    legend: 'Replay what was to be told',
    hint: 'From one moment until before another, by when each delivery was made. What is being delivered anyway is not sent twice.',
    fields: [
      { name: 'from', label: 'From (UTC)', kind: 'moment', required: true },
      { name: 'to', label: 'Until (UTC)', kind: 'moment', required: true },
      {
        name: 'state',
        label: 'Which',
        kind: 'choice',
        options: [
          { value: 'dead', label: 'Those that never arrived' },
          { value: '', label: 'All of them' },
          { value: 'delivered', label: 'Those that arrived' },
        ],
      },
    ],
  },
]

export interface WebhookShown {
  deliveries: DeliveriesFound
  filter: { state: string | null; event: string | null }
  refused: Refused | null
  tested: Delivery | null
  values: URLSearchParams
  rest: Rest | null
}

export interface Replayed {
  replayed: number
  remaining: number
  next_from: string | null
  next_from_id: string | null
}
/** What is left of a replay, and what its next part is asked with. */
export interface Rest extends Replayed {
  values: Record<string, string>
}

export function webhookPage(visit: Visit, webhook: Webhook, { deliveries, filter, refused, tested, values, rest }: WebhookShown): Content {
  const mayWrite = visit.may('webhooks:write')
  const path = (verb: string): string => pathOf(visit, webhook, verb)
  return html`${summary(refused, replayGroups)}${tested === null ? null : outcome(tested)}${rest === null ? null : restOf(rest, path('/replay'))}
    ${heading(
      'What it is',
      mayWrite
        ? html`<div class="actions">${postButton({ action: path('/test'), label: 'Send a test' })}${linkButton(path('/edit'), 'Change', { isPrimary: true })}</div>`
        : null,
    )}
    ${facts([
      ['State', state(webhook)],
      ['URL', code(webhook.url)],
      ['Description', webhook.description || null],
      ['Is told', heard(webhook)],
      ['Hears of', webhook.tenant_id === null ? 'every tenant, and the installation' : tenantName(visit, webhook.tenant_id)],
      ['Failing since', time(webhook.failing_since, { none: 'it is not failing' })],
      webhook.previous_secret_until === null ? null : ['The secret before signs until', time(webhook.previous_secret_until)],
      ['Added', html`${time(webhook.created_at)} by ${webhook.created_by}`],
      ['Id', code(webhook.id)],
    ])}
    ${heading('Deliveries')}
    ${deliveriesPart(visit, webhook, deliveries, filter)}
    ${
      mayWrite
        ? html`${heading('Replay')}
          ${webhook.active ? null : html`<p>It is not active: make it so first.</p>`}
          ${form({ action: path('/replay'), submit: 'Replay', content: fieldGroups(replayGroups, values, refused) })}
          ${heading('Its secret, and its end')}
          <div class="actions">${postButton({ action: path('/rotate-secret'), label: 'Give it another secret', confirm: 'Give it another secret? For 24 hours the one before signs as well.' })}
            ${postButton({ action: path('/remove'), label: 'Remove the webhook', isDangerous: true, confirm: 'Remove the webhook, its secret and its deliveries for good?' })}</div>`
        : null
    }`
}

const restOf = ({ replayed, remaining, values }: Rest, action: string): Content =>
  advice(html`<p>${replayed} events are sent again; more than so many are not at once, and about ${remaining} remain.</p>
    ${postButton({ action, label: 'Replay what remains', values, isPrimary: true })}`)

function outcome({ state: was, attempts }: Delivery): Content {
  const last = attempts.at(-1)
  const answered =
    last === undefined ? 'Nothing was sent' : last.status === null ? `Nothing came back (${last.error ?? 'unknown'})` : `It answered ${last.status}`
  const after = last === undefined ? '' : ` after ${duration(last.ms)}`
  return was === 'delivered' ? told(`The test arrived: ${answered.toLowerCase()}${after}.`) : problem(`The test did not arrive. ${answered}${after}.`)
}

function deliveriesPart(visit: Visit, webhook: Webhook, { deliveries, total, limit, offset }: DeliveriesFound, filter: WebhookShown['filter']): Content {
  const mayReplay = visit.may('webhooks:write') && webhook.active
  const option = (value: string, label = value) => ({ value, label })
  const hiddenOnes = [...new URL(`http://x${pathOf(visit, webhook)}`).searchParams].map(([name, value]) => hidden(name, value))
  return html`<form class="filters" method="get" action="/webhooks/${webhook.id}">${hiddenOnes}
      ${selectField({ name: SHOW, label: 'State', value: filter.state, options: [option('', 'all'), option('pending'), option('delivered'), option('dead')] })}
      ${selectField({ name: 'event', label: 'Event', value: filter.event, options: [option('', 'all'), ...eventTypes.map((name) => option(name)), option('TEST')] })}
      <button class="button">Show</button></form>
    ${table({
      caption: 'Deliveries, newest first',
      columns: [
        { label: 'Event' },
        { label: 'State' },
        { label: 'Made' },
        { label: 'Attempts' },
        { label: 'Next attempt' },
        ...(mayReplay ? [{ label: 'Actions', isQuiet: true }] : []),
      ],
      rows: deliveries.map((one) => [
        one.event,
        badge(one.state, deliveryTones[one.state]),
        time(one.created_at, { isShort: true }),
        attempts(one),
        time(one.next_attempt_at, { isShort: true }),
        ...(mayReplay
          ? [postButton({ action: pathOf(visit, webhook, `/deliveries/${one.id}/replay`), label: 'Replay', about: `${one.event} ${one.event_id}` })]
          : []),
      ]),
      empty: empty(
        filter.state || filter.event ? 'No delivery is like that' : 'It was told nothing yet',
        html`<p>Deliveries are listed for seven days after they ended. A test makes one at once.</p>`,
      ),
    })}
    ${pager({ total, limit, offset, link: (query) => pathOf(visit, webhook, '', { [SHOW]: filter.state, event: filter.event, ...query }) })}`
}

function attempts({ attempts: all, event_id: event }: Delivery): Content {
  const last = all.at(-1)
  if (last === undefined) return html`<span class="quiet">none yet</span>`
  return html`<details><summary>${all.length}, the last: ${last.status ?? last.error ?? 'unknown'}</summary>
    <p class="quiet">Event ${code(event)}</p><ol class="attempts">${all
      .slice(-ATTEMPTS_SHOWN)
      .map(
        (one) =>
          html`<li>${time(one.at)}: ${one.status ?? html`nothing (${one.error})`} after ${duration(one.ms)}${one.response ? html`<br><code class="wrap">${one.response}</code>` : null}</li>`,
      )}</ol></details>`
}
