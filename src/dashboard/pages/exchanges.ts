/** Calls as the audit log has them: the list with its filters, and each by itself. */
import type { Entries } from '../answers.ts'
import type { Query } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Page, part, type Visit, view } from '../page.ts'
import { linkButton, live } from '../parts/controls.ts'
import { exchangeTable } from '../parts/exchange-table.ts'
import { hidden, selectField, textField } from '../parts/fields.ts'
import { exact } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { exchangePage } from './exchange.ts'

const LIMIT = 50
const LIVE_SECONDS = 5
const HOUR_MS = 3_600_000

const periods = [
  { value: 'hour', label: 'Last hour', hours: 1 },
  { value: 'day', label: 'Last 24 hours', hours: 24 },
  { value: 'week', label: 'Last 7 days', hours: 168 },
  { value: 'month', label: 'Last 30 days', hours: 720 },
  { value: 'all', label: 'Everything kept', hours: null },
] as const
const PERIOD = 'day'
const statuses = ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK', 'REJECTED']
/** Filters that are the API's own. */
const texts = [
  { name: 'model', label: 'Model' },
  { name: 'rule_id', label: 'Rule' },
  { name: 'agent', label: 'Agent' },
  { name: 'user_id', label: 'User' },
  { name: 'request_id', label: 'Request' },
] as const

const list: Page = {
  path: '/exchanges',
  nav: { label: 'Exchanges', group: 'Watch', scope: 'audit:read' },
  async get(visit) {
    const asked = askedFor(visit.query)
    const found = await visit.api.get<Entries>('/v1/audit', apiQueryOf(asked, visit))
    const shown = entriesOf(visit, found, asked)
    if (visit.isPart) return part(shown)
    const isNewest = !asked.cursor
    return view(
      'Exchanges',
      html`<p class="quiet">Every call with what was decided about it. What was said is kept nowhere; a hash of it is.</p>
      ${filters(visit, asked)}
      ${isNewest ? html`<div class="heading"><p class="quiet">New calls appear by themselves.</p><div class="actions"><button type="button" class="button" data-live-pause hidden>Pause</button></div></div>` : html`<p>${linkButton(visit.link('/exchanges', { ...asked, cursor: null }), 'Back to the newest')}</p>`}
      ${isNewest ? live({ id: 'entries', source: visit.link('/exchanges', { ...asked }), seconds: LIVE_SECONDS, content: shown }) : shown}`,
    )
  },
}

type Asked = Query & { period: string; status: string; cursor: string }

function askedFor(query: URLSearchParams): Asked {
  const of = (name: string): string => query.get(name)?.trim() ?? ''
  const period = periods.some(({ value }) => value === of('period')) ? of('period') : PERIOD
  return { period, status: of('status'), ...Object.fromEntries(texts.map(({ name }) => [name, of(name)])), cursor: of('cursor') }
}

function apiQueryOf({ period, ...rest }: Asked, { now }: Visit): Query {
  const hours = periods.find(({ value }) => value === period)?.hours ?? null
  return { ...rest, limit: LIMIT, from: hours === null ? null : new Date(now.getTime() - hours * HOUR_MS).toISOString() }
}

function filters(visit: Visit, asked: Asked): Html {
  return html`<form class="filters" method="get" action="/exchanges" aria-label="Filters">
    ${visit.me.tenant_id === null && visit.tenantId !== null ? hidden('tenant_id', visit.tenantId) : null}
    ${selectField({ name: 'period', label: 'Period', value: asked.period, options: periods.map(({ value, label }) => ({ value, label })) })}
    ${selectField({ name: 'status', label: 'Verdict', value: asked.status, options: [{ value: '', label: 'Any' }, ...statuses.map((value) => ({ value, label: value }))] })}
    <details class="more"${texts.some(({ name }) => asked[name] !== '') ? html` open` : null}><summary>More filters</summary><div class="filters">${texts.map(({ name, label }) => textField({ name, label, value: String(asked[name] ?? '') }))}</div></details>
    <div class="actions"><button class="button primary">Filter</button><a class="button" href="${visit.link('/exchanges')}">Clear</a></div>
  </form>`
}

function entriesOf(visit: Visit, { entries, total, next_cursor }: Entries, asked: Asked): Content {
  return html`<div class="stack"><p class="quiet">${total === 1 ? '1 call' : `${exact(total)} calls`}</p>
    ${exchangeTable(visit, {
      entries,
      caption: 'Calls, newest first',
      empty: empty('No calls match', html`<p>Choose a longer period or fewer filters. Calls appear here as soon as they end.</p>`),
    })}
    ${next_cursor === null ? null : html`<nav class="pager" aria-label="Pages"><a class="button" rel="next" href="${visit.link('/exchanges', { ...asked, cursor: next_cursor })}">Older</a></nav>`}</div>`
}

export const exchangePages: readonly Page[] = [list, exchangePage]
