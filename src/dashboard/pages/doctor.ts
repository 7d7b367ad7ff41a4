/** What should not be so where real calls are made, how this process is, and with which settings it runs. */
import { type Content, html } from '../html.ts'
import { type Page, type Reply, type Visit, view } from '../page.ts'
import { heading, linkButton } from '../parts/controls.ts'
import { badge, code, type Tone } from '../parts/figures.ts'
import { told } from '../parts/notice.ts'
import { table } from '../parts/table.ts'

interface Finding {
  check: string
  level: 'fail' | 'warn'
  sentence: string
}

interface Service {
  state: 'ok' | 'degraded' | 'failed'
  detail?: string
}

interface Examined {
  checks: { name: string; about: string }[]
  findings: Finding[]
  services: Record<string, Service> | null
}

interface Setting {
  name: string
  value: string | null
  default: string | null
  secret: boolean
  source: 'environment' | 'file' | 'default'
}

const tones: Readonly<Record<Service['state'], Tone>> = { ok: 'good', degraded: 'warning', failed: 'bad' }

export const doctorPages: readonly Page[] = [
  { path: '/doctor', nav: { label: 'Doctor', group: 'Run', scope: 'admin' }, get: examine },
  { path: '/settings', nav: { label: 'Settings', group: 'Run', scope: 'ops:read' }, get: settings },
]

async function examine(visit: Visit): Promise<Reply> {
  const examined = await visit.api.get<Examined>('/v1/ops/doctor', {}, { tenant: null })
  return view('Doctor', page(visit, examined))
}

function page(visit: Visit, { checks, findings, services }: Examined): Content {
  const found = (level: Finding['level']): Finding[] => findings.filter((one) => one.level === level)
  const clean = checks.filter(({ name }) => !findings.some(({ check }) => check === name))
  return html`<p class="lead">What <code>earthflow doctor</code> finds, on the settings and the database of the process that shows this page. It changes nothing.</p>
    ${heading('Findings', linkButton(visit.link('/doctor'), 'Look again'))}
    ${findings.length === 0 ? told(`Nothing was found: ${checks.length} checks.`) : null}
    ${list('To be mended', 'Somebody could misuse it, or something will break.', found('fail'), 'bad', visit)}
    ${list('To be decided', 'Somebody should decide that it is meant to be so.', found('warn'), 'warning', visit)}
    ${heading('Health')}
    ${services === null ? html`<p>This process takes no calls: it shows the dashboard alone. <code>GET /health/services</code> of those that do tells how they are.</p>` : healthTable(services)}
    ${heading('In order')}
    ${table({
      caption: 'Checks that found nothing',
      columns: [{ label: 'Check' }, { label: 'What is so' }],
      rows: clean.map(({ name, about }) => [code(name), about]),
      empty: html`<p class="quiet">Every check found something.</p>`,
    })}`
}

function list(title: string, about: string, findings: readonly Finding[], tone: Tone, visit: Visit): Content {
  if (findings.length === 0) return null
  return html`<section class="card" aria-label="${title}"><h3>${title} ${badge(String(findings.length), tone)}</h3><p class="quiet">${about}</p>
    <dl class="findings">${findings.map(({ check, sentence }) => html`<div><dt>${code(check)}</dt><dd>${linked(sentence, visit)}</dd></div>`)}</dl></section>`
}

/** Ids of tenants and upstreams in a sentence lead to their pages. */
const linked = (sentence: string, visit: Visit): Content[] =>
  sentence.split(/\b(t_[0-9a-z]{26})\b/).map((piece, i) => (i % 2 === 0 ? piece : html`<a href="${visit.link(`/tenants/${piece}`)}">${code(piece)}</a>`))

const healthTable = (services: Record<string, Service>): Content =>
  table({
    caption: 'What readiness asks of this process',
    columns: [{ label: 'Part' }, { label: 'State' }, { label: 'Detail' }],
    rows: Object.entries(services).map(([name, { state, detail }]) => [name, badge(state, tones[state]), detail ?? '–']),
    empty: null,
  })

async function settings(visit: Visit): Promise<Reply> {
  const { settings: all } = await visit.api.get<{ settings: Setting[] }>('/v1/ops/config', {}, { tenant: null })
  const sources = { environment: 'the environment', file: 'a file', default: 'default' } as const
  return view(
    'Settings',
    html`<p class="lead">Every setting of the process that shows this page, and where it has it from. They are changed where it is started; of secrets only whether they are set is told.</p>
      ${table({
        caption: 'Settings',
        columns: [{ label: 'Setting' }, { label: 'Value' }, { label: 'From' }, { label: 'Default' }],
        rows: all.map((one) => [
          code(one.name),
          one.value === null ? html`<span class="quiet">not set</span>` : html`<code class="wrap">${one.value}</code>`,
          sources[one.source],
          one.default ?? '–',
        ]),
        empty: html`<p class="quiet">There are none.</p>`,
      })}`,
  )
}
