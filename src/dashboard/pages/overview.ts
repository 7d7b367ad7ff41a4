/** The first page: what happens now, and what happened lately. */
import type { Counts, Quantiles, Stats, Summary } from '../answers.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Page, part, type Visit, view } from '../page.ts'
import { chart } from '../parts/chart.ts'
import { heading, live, meter } from '../parts/controls.ts'
import { exchangeTable } from '../parts/exchange-table.ts'
import { count, duration, money, percent, tile, tiles } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { table } from '../parts/table.ts'

const MINUTES = 60
const CHART_SECONDS = 60
/** Above it a rate is coloured, as the alerts have it. */
const BLOCK_RATE_HIGH = 0.1
const ERROR_RATE_HIGH = 0.01
const HOUR_MS = 3_600_000
const DAY_HOURS = 24

const spans = [
  { name: 'day', label: '24 hours', hours: DAY_HOURS, step: 'hour' },
  { name: 'week', label: '7 days', hours: 7 * DAY_HOURS, step: 'hour' },
  { name: 'month', label: '30 days', hours: 30 * DAY_HOURS, step: 'day' },
] as const
type Span = (typeof spans)[number]

const overview: Page = {
  path: '/',
  nav: { label: 'Overview', group: 'Watch', scope: 'stats:read' },
  async get(visit) {
    const span = spans.find(({ name }) => name === visit.query.get('span')) ?? spans[0]
    const asked = visit.isPart ? visit.query.get('part') : null
    if (asked === 'figures') return part(figures(await summaryFor(visit)))
    if (asked === 'calls') return part(calls(visit, await summaryFor(visit)))
    if (asked === 'chart') return part(await traffic(visit, span))
    const summary = await summaryFor(visit)
    return view(
      'Overview',
      html`<div class="heading"><p class="quiet">The last hour, as it goes on.</p><div class="actions"><button type="button" class="button" data-live-pause hidden>Pause</button></div></div>
      ${live({ id: 'figures', source: visit.link('/', { part: 'figures' }), content: figures(summary) })}
      <div class="heading"><h2>Traffic</h2>${spanChoice(visit, span)}</div>
      ${live({ id: 'traffic', source: visit.link('/', { part: 'chart', span: span.name }), seconds: CHART_SECONDS, content: await traffic(visit, span) })}
      ${live({ id: 'calls', source: visit.link('/', { part: 'calls' }), content: calls(visit, summary) })}`,
      { scripts: ['charts'] },
    )
  },
}

const summaryFor = ({ api }: Visit): Promise<Summary> => api.get<Summary>('/v1/dashboard/summary', { minutes: MINUTES })

const spanChoice = (visit: Visit, chosen: Span): Html =>
  html`<nav class="tabs" aria-label="Period">${spans.map(({ name, label }) => html`<a href="${visit.link('/', { span: name })}"${name === chosen.name ? html` aria-current="true"` : null}>${label}</a>`)}</nav>`

const calls = (visit: Visit, summary: Summary): Html =>
  html`<div class="stack"><div class="columns">
      <section class="stack" aria-labelledby="verdicts"><h2 id="verdicts">Verdicts</h2>${verdicts(summary.totals)}</section>
      <section class="stack" aria-labelledby="top-rules"><h2 id="top-rules">Rules that found most</h2>${topRules(visit, summary)}</section>
    </div>
    ${summary.newest === null ? null : newest(visit, summary.newest)}</div>`

function figures({ totals, block_rate, error_rate, latency_ms, overhead_ms, today, open_calls, escalations_pending }: Summary): Html {
  return tiles([
    tile('Calls', count(totals.requests), `in the last hour${open_calls === null ? '' : `, ${count(open_calls)} under way`}`),
    tile('Block rate', percent(block_rate), `${count(totals.blocked)} blocked`, block_rate > BLOCK_RATE_HIGH ? 'bad' : 'plain'),
    tile('Error rate', percent(error_rate), 'answers of 5xx', error_rate > ERROR_RATE_HIGH ? 'bad' : 'plain'),
    tile('Latency', duration(latency_ms?.p50 ?? null), quantilesOf(latency_ms)),
    tile('Earthflow’s share', duration(overhead_ms?.p50 ?? null), quantilesOf(overhead_ms)),
    tile('Tokens today', count(today.input_tokens + today.output_tokens), `${count(today.input_tokens)} in, ${count(today.output_tokens)} out`),
    tile('Cost today', money(today.cost_usd), 'since midnight UTC'),
    tile('Waiting', count(escalations_pending), 'for a person to decide', escalations_pending > 0 ? 'warning' : 'plain'),
  ])
}

const quantilesOf = (found: Quantiles | null): string => (found === null ? 'no calls yet' : `p95 ${duration(found.p95)}, p99 ${duration(found.p99)}`)

const shares = [
  ['Allowed', 'allowed', 'good'],
  ['Warned', 'warned', 'warning'],
  ['Redacted', 'redacted', 'special'],
  ['Escalated', 'escalated', 'info'],
  ['Blocked', 'blocked', 'bad'],
  ['Rejected', 'rejected', 'plain'],
] as const satisfies readonly (readonly [string, keyof Counts, string])[]

function verdicts(totals: Counts): Content {
  if (totals.requests === 0) return empty('No calls in the last hour', html`<p>Verdicts appear here as soon as a client calls.</p>`)
  return html`<dl class="shares card">${shares.map(
    ([label, name, tone]) =>
      html`<div><dt>${label}</dt><dd>${meter({ label, value: totals[name], of: totals.requests, tone })}<span class="number">${count(totals[name])}</span></dd></div>`,
  )}</dl>`
}

const topRules = (visit: Visit, { top_triggered_rules }: Summary): Content =>
  table({
    caption: 'Rules that found most in the last hour',
    columns: [{ label: 'Rule' }, { label: 'Calls', isNumber: true }],
    rows: top_triggered_rules.map(({ rule_id, name, count: calls }) => [
      name === null ? html`<code>${rule_id}</code> <span class="quiet">removed</span>` : html`<a href="${visit.link(`/rules/${rule_id}`)}">${name}</a>`,
      count(calls),
    ]),
    empty: empty('No rule found anything in the last hour'),
  })

const newest = (visit: Visit, entries: NonNullable<Summary['newest']>): Html =>
  html`${heading('Newest calls', html`<a href="${visit.link('/exchanges')}">All exchanges</a>`)}
  ${exchangeTable(visit, {
    entries,
    caption: 'Newest calls',
    isShort: true,
    empty: empty(
      'No calls in the last hour',
      html`<p>Give a client the base URL <code>${visit.proxyUrl}/v1</code> and a key of a tenant; its calls appear here as they end.</p>`,
    ),
  })}`

async function traffic(visit: Visit, { hours, step, label }: Span): Promise<Content> {
  const from = new Date(visit.now.getTime() - hours * HOUR_MS).toISOString()
  const { series } = await visit.api.get<Stats>('/v1/audit/stats', { from, to: visit.now.toISOString(), group_by: step })
  return chart({
    label: `Calls by verdict, by ${step}, the last ${label}`,
    kind: 'bars',
    starts: series.map(({ start }) => start),
    series: shares.map(([name, member, tone]) => ({ label: name, tone, values: series.map((point) => point[member]) })),
  })
}

export const overviewPages: readonly Page[] = [overview]
