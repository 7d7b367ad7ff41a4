/** One call: what was decided, by what, how long it took, and what proves that this is what was logged. */
import type { Entry, Finding, Proof, Rule } from '../answers.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Page, type Visit, view } from '../page.ts'
import { heading } from '../parts/controls.ts'
import { outcomeOf } from '../parts/exchange-table.ts'
import { action, badge, code, duration, exact, money, time, verdict } from '../parts/figures.ts'
import { advice, empty } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'

const RULES_MAX = 20

export const exchangePage: Page = {
  path: '/exchanges/:id',
  async get(visit) {
    const { params, api } = visit
    const path = `/v1/audit/${encodeURIComponent(params.id ?? '')}`
    const entry = await api.get<Entry>(path)
    const [proof, names] = await Promise.all([api.ask<Proof>('GET', `${path}/proof`), ruleNames(visit, entry)])
    return view(
      entry.kind === 'exchange' ? 'Exchange' : 'Entry of the log',
      html`<p class="actions">${verdict(entry.status)} <span>${outcomeOf(entry)}</span> <span class="quiet">${time(entry.timestamp)}</span></p>
      ${entry.degraded === null ? null : advice(`Logged while something was away: ${entry.degraded}.`)}
      ${about(visit, entry)}
      ${heading('What rules found')}
      ${findings(visit, entry.findings, names)}
      ${heading('Time')}
      ${split(entry)}
      ${attempts(entry)}
      ${heading('Tokens and cost')}
      ${usage(entry)}
      ${Object.keys(entry.metadata).length === 0 ? null : [heading('Metadata of the caller'), metadata(entry)]}
      ${heading('Proof')}
      ${hashes(entry)}
      ${proof.ok ? chain(proof.json) : null}`,
    )
  },
}

const about = (visit: Visit, entry: Entry): Html =>
  facts([
    ['Entry', code(entry.audit_id)],
    ['Request', code(entry.request_id)],
    visit.tenantId === null ? ['Tenant', visit.tenants.find(({ tenant_id }) => tenant_id === entry.tenant_id)?.name ?? code(entry.tenant_id)] : null,
    ['Model', code(entry.model)],
    ['Upstream', code(entry.upstream)],
    ['Endpoint', html`${code(entry.endpoint)}${entry.stream ? html` ${badge('streamed')}` : null}`],
    ['Key', code(entry.key_prefix)],
    ['Agent', code(entry.agent_id)],
    ['User', code(entry.user_id)],
    entry.approved_by === null ? null : ['Approved by', entry.approved_by],
    entry.held_audit_id === null
      ? null
      : ['Approval of', html`<a href="${visit.link(`/exchanges/${entry.held_audit_id}`)}"><code>${entry.held_audit_id}</code></a>`],
    entry.escalation_id === null || !visit.may('escalations:read')
      ? null
      : ['Escalation', html`<a href="${visit.link(`/escalations/${entry.escalation_id}`)}"><code>${entry.escalation_id}</code></a>`],
  ])

/** By id, of those that are still there and may be read. */
async function ruleNames({ api, may }: Visit, { findings, rules_triggered }: Entry): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set([...rules_triggered, ...findings.map(({ rule_id }) => rule_id)])].slice(0, RULES_MAX)
  if (!may('rules:read')) return new Map()
  const found = await Promise.all(ids.map((id) => api.ask<Rule>('GET', `/v1/rules/${encodeURIComponent(id)}`)))
  return new Map(found.flatMap((answer) => (answer.ok ? [[answer.json.id, answer.json.name] as const] : [])))
}

const findings = (visit: Visit, all: readonly Finding[], names: ReadonlyMap<string, string>): Content =>
  table({
    caption: 'What rules found, and where',
    columns: [{ label: 'Rule' }, { label: 'Action' }, { label: 'In' }, { label: 'Places' }, { label: 'Found', isNumber: true }],
    rows: all.map(({ rule_id, action: does, mode, on, where, count }) => {
      const name = names.get(rule_id)
      return [
        name === undefined ? html`<code>${rule_id}</code>` : html`<a href="${visit.link(`/rules/${rule_id}`)}">${name}</a>`,
        html`${action(does)}${mode === 'shadow' ? html` ${badge('shadow')}` : null}`,
        on,
        where.length === 0 ? '–' : html`<ul class="plain">${where.map((place) => html`<li><code>${place}</code></li>`)}</ul>`,
        exact(count),
      ]
    }),
    empty: empty('No rule found anything', html`<p>What was said is never kept: only which rule found something, where, and how often.</p>`),
  })

const WIDTH = 1_000
const BAR_HEIGHT = 20

/** Whose time it was. */
function split({ latency_ms, overhead_ms, upstream_ms, first_byte_ms }: Entry): Content {
  if (latency_ms === null) return empty('Not measured', html`<p>The call has not ended yet, or its process did not live to tell.</p>`)
  const own = overhead_ms ?? 0
  const provider = Math.min(upstream_ms ?? 0, Math.max(0, latency_ms - own))
  const parts = [
    { label: 'Earthflow', ms: own, css: 'accent' },
    { label: 'Provider', ms: provider, css: 'info-part' },
    { label: 'Waiting and sending on', ms: Math.max(0, latency_ms - own - provider), css: 'rest' },
  ]
  const whole = Math.max(1, ...[parts.reduce((sum, { ms }) => sum + ms, 0)])
  let at = 0
  const bars = parts.map(({ ms, css }) => {
    const from = at
    at += (ms / whole) * WIDTH
    return html`<rect class="${css}" x="${from.toFixed(1)}" y="0" width="${(at - from).toFixed(1)}" height="${BAR_HEIGHT}"></rect>`
  })
  return html`<div class="card split">
    <svg viewBox="0 0 ${WIDTH} ${BAR_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">${bars}</svg>
    <dl>${parts.map(({ label, ms, css }) => html`<div class="${css}"><dt>${label}</dt><dd>${duration(ms)}</dd></div>`)}<div><dt>In all</dt><dd>${duration(latency_ms)}</dd></div><div><dt>First byte of the provider</dt><dd>${duration(first_byte_ms)}</dd></div></dl>
  </div>`
}

const attempts = ({ attempts: all }: Entry): Content =>
  all.length === 0
    ? html`<p class="quiet">No provider was asked.</p>`
    : table({
        caption: 'Attempts to reach a provider',
        isCaptionShown: true,
        columns: [{ label: 'Upstream' }, { label: 'Answer' }, { label: 'Time', isNumber: true }],
        rows: all.map(({ upstream, status, error, ms }) => [code(upstream), status ?? badge(error ?? 'no answer', 'bad'), duration(ms)]),
        empty: null,
      })

const usage = ({ usage: used, cost_usd, budgets }: Entry): Html =>
  facts([
    ['Input tokens', used && exact(used.input_tokens)],
    ['Output tokens', used && html`${exact(used.output_tokens)}${used.estimated ? html` ${badge('estimated')}` : null}`],
    ['Cost', cost_usd === null ? 'not known' : money(cost_usd)],
    budgets.length === 0 ? null : ['Charged to', html`<ul class="plain">${budgets.map(({ budget_id }) => html`<li><code>${budget_id}</code></li>`)}</ul>`],
  ])

const metadata = ({ metadata: all }: Entry): Html =>
  facts(Object.entries(all).map(([name, value]) => [name, code(typeof value === 'string' ? value : JSON.stringify(value))] as const))

const hashes = ({ prompt_hash, forwarded_hash, policy_version, rules_evaluated, uninspected_bytes }: Entry): Html =>
  facts([
    ['Hash of the prompt', code(prompt_hash)],
    ['Hash of what left', code(forwarded_hash)],
    ['Policy version', policy_version ?? '–'],
    ['Rules evaluated', exact(rules_evaluated)],
    ['Bytes not inspected', exact(uninspected_bytes)],
  ])

function chain({ chain: place, note, public_key }: Proof): Content {
  if (place === null) return advice('This entry is not chained yet; its place comes with the next checkpoint.')
  return html`${facts([
    ['Standing', note === null ? badge('chained, not yet signed', 'warning') : badge('in a signed checkpoint', 'good')],
    ['Writer', code(place.writer_id)],
    ['Number in its chain', exact(place.seq)],
    ['Leaf of the tree', place.index === null ? null : exact(place.index)],
    ['Size of the tree', place.tree_size === null ? null : exact(place.tree_size)],
    ['Hash of the entry', code(place.payload_hash)],
    place.erased_by === null ? null : ['Erased by', code(place.erased_by)],
  ])}
  ${note === null ? null : html`<details><summary>The signed checkpoint, and the way to its root</summary><div class="stack"><pre tabindex="0">${note}</pre><pre tabindex="0">${(place.path ?? []).join('\n')}</pre><p class="quiet">Verified with <code>${public_key}</code>, by <code>earthflow audit verify</code> on any machine.</p></div></details>`}`
}
