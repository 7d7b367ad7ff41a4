import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { badge, code, duration, exact, time } from '../parts/figures.ts'
import { empty, problem, told } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'
import { seesSeveral, tenantName } from '../parts/tenant-choice.ts'
import { type Checked, healthOf, type Upstream } from './upstream-fields.ts'

/** In an address: whose upstream it is, where it is a tenant's own. */
export const OF = 'of'

export interface UpstreamsFound {
  upstreams: Upstream[]
  total: number
  limit: number
  offset: number
}

export const pathOf = (visit: Visit, { name, tenant_id: tenantId }: Upstream, more = ''): string =>
  visit.link(`/upstreams/at/${encodeURIComponent(name)}${more}`, { [OF]: seesSeveral(visit) ? tenantId : null })

const health = (upstream: Upstream): Content => {
  const { word, tone } = healthOf(upstream)
  return badge(word, tone)
}

/** When it is tried, or asked, again. */
function untilWhen({ status }: Upstream): Content {
  if (status?.next_probe_at) return html`<br><span class="quiet">tried again ${time(status.next_probe_at, { isShort: true })}</span>`
  return status?.rests_until ? html`<br><span class="quiet">until ${time(status.rests_until, { isShort: true })}</span>` : null
}

export const upstreamsTable = (visit: Visit, { upstreams, total, limit, offset }: UpstreamsFound): Content =>
  html`${table({
    caption: 'Upstreams, by name',
    columns: [
      { label: 'Upstream' },
      { label: 'State' },
      { label: 'Dialects' },
      { label: 'Models' },
      { label: 'Priority', isNumber: true },
      { label: 'Weight', isNumber: true },
      { label: 'Region' },
      { label: 'Credential' },
    ],
    rows: upstreams.map((one) => [
      html`<a href="${pathOf(visit, one)}">${one.name}</a>${whose(visit, one)}<br><span class="quiet address">${one.base_url}</span>`,
      html`${health(one)}${untilWhen(one)}`,
      one.dialects.join(', '),
      one.models.join(', '),
      one.priority,
      one.weight,
      one.region ?? '–',
      credential(one),
    ]),
    empty: noUpstreams(visit),
  })}
  ${pager({ total, limit, offset, link: (query) => visit.link('/upstreams', query) })}`

const noUpstreams = (visit: Visit): Content =>
  visit.tenantId === null
    ? empty(
        'There are no upstreams yet',
        html`<p>Without one no call can go anywhere. Add the provider that your programs use now, with the base URL and the key they have.</p>`,
      )
    : empty('The tenant has no upstream of its own', html`<p>Its calls go to those of the installation, which whoever runs Earthflow adds.</p>`)

const whose = (visit: Visit, { tenant_id: tenantId }: Upstream): Content =>
  seesSeveral(visit) && tenantId !== null ? html` <span class="quiet">of ${tenantName(visit, tenantId)}</span>` : null

function credential({ credential_mode: mode, credential_set: isSet }: Upstream): Content {
  if (mode === 'passthrough') return 'the caller’s own'
  return isSet ? 'stored' : html`<span class="quiet">none</span>`
}

interface Shown {
  checked: Checked | null
  refused: Refused | null
}

export function upstreamPage(visit: Visit, upstream: Upstream, { checked, refused }: Shown): Content {
  const mayWrite = visit.may('upstreams:write')
  const { name, status, timeouts, prices, active } = upstream
  const path = (verb: string): string => pathOf(visit, upstream, verb)
  return html`${summary(refused)}${checked === null ? null : outcome(upstream, checked)}
    ${heading(
      'What it is',
      mayWrite
        ? html`<div class="actions">${postButton({ action: path('/check'), label: 'Check it now', about: name })}${linkButton(path('/edit'), 'Change', { about: name, isPrimary: true })}</div>`
        : null,
    )}
    ${facts([
      ['State', html`${health(upstream)}${untilWhen(upstream)}`],
      ['Attempts in a row that failed', status === null ? 'not known to this process' : exact(status.failures)],
      ['Serves', upstream.tenant_id === null ? 'all tenants' : tenantName(visit, upstream.tenant_id)],
      ['Base URL', code(upstream.base_url)],
      ['Dialects', upstream.dialects.join(', ')],
      ['Models', upstream.models.join(', ')],
      ['Priority', exact(upstream.priority)],
      ['Weight', exact(upstream.weight)],
      ['Region', upstream.region],
      [
        'Credential',
        upstream.credential_mode === 'passthrough' ? 'the caller’s own travels on' : upstream.credential_set ? 'stored, encrypted' : 'none is stored',
      ],
      ['Time-outs', timeoutsOf(timeouts)],
      ['Added', time(upstream.created_at)],
    ])}
    ${prices.length === 0 ? null : html`${heading('Prices')}${priceTable(prices)}`}
    ${
      mayWrite
        ? html`${heading('Take it out')}
          <div class="actions">
            ${
              active
                ? postButton({
                    action: path('/active'),
                    label: 'Deactivate',
                    about: name,
                    values: { active: 'false' },
                    confirm: `Send no more calls to ${name}?`,
                  })
                : postButton({ action: path('/active'), label: 'Activate', about: name, values: { active: 'true' }, isPrimary: true })
            }
            ${postButton({ action: path('/remove'), label: 'Remove', about: name, isDangerous: true, confirm: `Remove ${name} and its credential for good?` })}
          </div>`
        : null
    }`
}

const timeoutsOf = (timeouts: Upstream['timeouts']): Content => {
  const all = Object.entries(timeouts).map(([what, seconds]) => `${what.replace('_seconds', '').replace('_', ' ')} ${seconds} s`)
  return all.length === 0 ? 'the installation’s' : all.join(', ')
}

function outcome({ name }: Upstream, { ok, status, latency_ms: ms, models, problem: why }: Checked): Content {
  const answered = status === null ? 'Nothing came back' : `It answered ${status}`
  if (!ok) return problem(html`${name} would not take calls. ${answered} after ${duration(ms)}. ${why}`)
  return told(`${name} would take calls: ${answered.toLowerCase()} after ${duration(ms)}${models === null ? '' : `, and named ${models} models`}.`)
}

const priceColumns = [
  ['input', 'Input'],
  ['output', 'Output'],
  ['cached_input', 'Cached input'],
  ['cache_write', 'Cache write'],
  ['reasoning', 'Reasoning'],
  ['audio_input', 'Audio input'],
  ['audio_output', 'Audio output'],
] as const

const priceTable = (prices: Upstream['prices']): Content =>
  table({
    caption: 'Prices in US dollars for a million tokens',
    isCaptionShown: true,
    columns: [{ label: 'Models' }, ...priceColumns.map(([, label]) => ({ label, isNumber: true }))],
    rows: prices.map((row) => [code(row.model), ...priceColumns.map(([name]) => row[name] ?? '–')]),
    empty: null,
  })
