/** Tries rules on a text: those in force on a page of their own, a draft beside its form. */
import type { Trial } from '../answers.ts'
import type { Answered } from '../api.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Page, type Visit, view } from '../page.ts'
import { textArea } from '../parts/fields.ts'
import { action, badge, code, exact, verdict } from '../parts/figures.ts'
import { empty, problem, refusal } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { ruleTabs } from './rule-tabs.ts'
import { needsTenant } from './tenant-needed.ts'

/** What is tried: what the user says, and what the model answers. */
export interface Sample {
  text: string
  response: string
}

export const sampleIn = (form: URLSearchParams): Sample => ({ text: form.get('sample') ?? '', response: form.get('sample_response') ?? '' })

/** The draft alone; without one the rules in force. */
export const tryOn = ({ api }: Visit, { text, response }: Sample, rule?: object): Promise<Answered<Trial>> =>
  api.ask<Trial>('POST', '/v1/rules/test', {
    body: { ...(text !== '' || response === '' ? { text } : {}), ...(response !== '' && { response }), ...(rule && { rule }) },
  })

export const sampleFields = ({ text, response }: Sample): Content => [
  textArea({ name: 'sample', label: 'What the user says', value: text, rows: 4, hint: 'It is tried here and kept nowhere.' }),
  html`<details${response === '' ? null : html` open`}><summary>And what the model answers</summary>${textArea({ name: 'sample_response', label: 'The reply', value: response, rows: 3 })}</details>`,
]

/** What the rules would do with it. */
export function trialResult(answer: Answered<Trial>, { text }: Sample): Content {
  if (!answer.ok) return refusal(answer)
  const { status, triggered_rules, redacted_text, cannot_redact, response, rules_evaluated } = answer.json
  const spans = triggered_rules.flatMap((one) => one.spans.filter(({ field }) => field === 'text').map((span) => ({ ...span, action: one.action })))
  return html`<div class="card stack" id="trial">
    <p class="actions">${verdict(status)} <span class="quiet">${exact(rules_evaluated)} ${rules_evaluated === 1 ? 'rule' : 'rules'} evaluated</span></p>
    ${text === '' ? null : html`<p class="sample">${marked(text, spans)}</p>`}
    ${table({
      caption: 'Rules that found something',
      columns: [{ label: 'Rule' }, { label: 'Action' }, { label: 'Where' }, { label: 'Found', isNumber: true }],
      rows: triggered_rules.map(({ name, action: does, mode, matched_field, spans: all }) => [
        name,
        html`${action(does)}${mode === 'shadow' ? html` ${badge('shadow')}` : null}`,
        code(matched_field),
        all.length === 0 ? '–' : exact(all.length),
      ]),
      empty: empty('No rule found anything in the call'),
    })}
    ${cannot_redact === null ? null : problem(html`The call would be refused: a placeholder at <code>${cannot_redact}</code> would break it.`)}
    ${redacted_text === null ? null : html`<h3>What would leave</h3><p class="sample">${redacted_text}</p>`}
    ${response && reply(response)}
  </div>`
}

const reply = ({ status, triggered_rules, stopped, redacted_text }: NonNullable<Trial['response']>): Html =>
  html`<h3>The reply</h3><p class="actions">${verdict(status)}${stopped === null ? null : html` <span class="quiet">${stopped}</span>`}</p>
  ${triggered_rules.length === 0 ? null : html`<ul>${triggered_rules.map(({ name, count }) => html`<li>${name}: ${exact(count)}</li>`)}</ul>`}
  ${redacted_text === null ? null : html`<p class="sample">${redacted_text}</p>`}`

interface Span {
  start: number
  end: number
  action: string
}

/** Where spans lie on each other, the one that begins first is shown, and what sticks out of it after it. */
export function marked(text: string, spans: readonly Span[]): Content {
  const shown: Content[] = []
  let at = 0
  for (const { start, end, action: does } of spans.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const from = Math.max(start, at)
    if (end <= from) continue
    shown.push(text.slice(at, from), html`<mark class="${does.toLowerCase()}">${text.slice(from, end)}</mark>`)
    at = end
  }
  return [...shown, text.slice(at)]
}

const trialPage: Page = {
  path: '/rules/try',
  get: async (visit) => shown(visit, { text: '', response: '' }, null),
  async post(visit) {
    const sample = sampleIn(visit.form)
    return shown(visit, sample, trialResult(await tryOn(visit, sample), sample))
  },
}

function shown(visit: Visit, sample: Sample, result: Content) {
  if (visit.tenantId === null) return needsTenant(visit, 'Try the rules', 'Rules are those of one tenant.')
  return view(
    'Try the rules',
    html`${ruleTabs(visit)}
    <p class="quiet">What the rules in force would do with a text. Nothing is sent to a provider, and nothing is logged.</p>
    <form class="form" method="post" action="${visit.link('/rules/try')}">${sampleFields(sample)}<div class="actions"><button class="button primary">Try</button></div></form>
    ${result}`,
  )
}

export const trialPages: readonly Page[] = [trialPage]
