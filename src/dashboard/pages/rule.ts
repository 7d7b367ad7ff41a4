/** One rule: what it says, what it found lately, and how it is changed. */
import type { Entries, Rule } from '../answers.ts'
import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import { type Page, type Redirect, redirect, type View, type Visit, view } from '../page.ts'
import { conditionInWords } from '../parts/condition.ts'
import { heading, postButton } from '../parts/controls.ts'
import { exchangeTable } from '../parts/exchange-table.ts'
import { action, exact, tile, tiles, time } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { facts } from '../parts/table.ts'
import { isTrial, ruleEditor } from './rule-editor.ts'
import { draftFrom, isRefused } from './rule-form.ts'
import { ruleLink, stateOf, switches } from './rule-state.ts'
import { ruleTabs } from './rule-tabs.ts'

/** How far back it is asked what a rule found; and of a shadow rule, in how many calls that is looked for. */
const FOUND_DAYS = 7
const SHADOW_CALLS_MAX = 1_000
const SHOWN_MAX = 10
const DAY_MS = 86_400_000

const patches: Readonly<Record<string, { patch: object; told: string }>> = {
  activate: { patch: { active: true }, told: 'is active' },
  deactivate: { patch: { active: false }, told: 'is inactive and not evaluated any more' },
  enforce: { patch: { mode: 'enforce' }, told: 'acts from now on' },
  shadow: { patch: { mode: 'shadow' }, told: 'is only recorded from now on' },
}

export const rulePage: Page = {
  path: '/rules/:id',
  async get(visit) {
    const rule = await visit.api.get<Rule>(pathOf(visit))
    return visit.may('rules:write') ? shown(visit, rule, null, null) : read(visit, rule)
  },
  async post(visit) {
    const { form, api } = visit
    const wanted = form.get('do') ?? ''
    if (wanted === 'delete') return removed(visit)
    const known = patches[wanted]
    if (known) {
      const answer = await api.ask<Rule>('PATCH', pathOf(visit), { body: known.patch })
      return answer.ok ? redirect(ruleLink(visit, answer.json), `“${answer.json.name}” ${known.told}.`) : refusedOn(visit, answer)
    }
    const rule = await api.get<Rule>(pathOf(visit))
    const draft = draftFrom(form)
    if (isRefused(draft)) return shown(visit, rule, form, draft)
    if (isTrial(form)) return shown(visit, { ...rule, ...draft }, form, null)
    const answer = await api.ask<Rule>('PATCH', pathOf(visit), { body: draft })
    return answer.ok
      ? redirect(ruleLink(visit, answer.json), `“${answer.json.name}” is changed; a new version of the policy is in force.`)
      : shown(visit, rule, form, answer)
  },
}

const pathOf = ({ params }: Visit): string => `/v1/rules/${encodeURIComponent(params.id ?? '')}`

async function removed(visit: Visit): Promise<Redirect | View> {
  const answer = await visit.api.ask('DELETE', pathOf(visit))
  return answer.ok ? redirect(visit.link('/rules'), 'The rule is removed. Older versions of the policy still hold it.') : refusedOn(visit, answer)
}

/** The rule as it is, with why it was not changed. */
async function refusedOn(visit: Visit, refused: Refused): Promise<View> {
  return shown(visit, await visit.api.get<Rule>(pathOf(visit)), null, refused)
}

async function shown(visit: Visit, rule: Rule, typed: URLSearchParams | null, refused: Refused | null): Promise<View> {
  const here = ruleLink(visit, rule)
  return ruleEditor(visit, {
    title: rule.name,
    above: html`${ruleTabs(visit)}
    <div class="heading"><p>${action(rule.action)} ${stateOf(rule)} <span class="quiet">changed ${time(rule.updated_at)}</span></p>
      <div class="actions">${switches(visit, rule)} ${postButton({ action: here, label: 'Delete', about: rule.name, values: { do: 'delete' }, isDangerous: true, confirm: `Delete the rule “${rule.name}”?` })}</div></div>`,
    draft: rule,
    typed,
    refused,
    action: here,
    submit: 'Save',
    below: await results(visit, rule),
  })
}

/** For whoever may not change it. */
async function read(visit: Visit, rule: Rule): Promise<View> {
  return view(
    rule.name,
    html`${ruleTabs(visit)}
    ${facts([
      ['Action', action(rule.action)],
      ['State', stateOf(rule)],
      ['Priority', rule.priority],
      ['From the preset', rule.preset],
      ['Changed', time(rule.updated_at)],
    ])}
    <div class="card"><h2>Condition</h2><p>${conditionInWords(rule.condition)}</p><details><summary>As JSON</summary><pre tabindex="0">${JSON.stringify(rule.condition, null, 2)}</pre></details></div>
    ${await results(visit, rule)}`,
  )
}

/** What it found lately. Totals alone do not say it, so it is for who may read the log. */
async function results(visit: Visit, rule: Rule): Promise<Content> {
  if (!visit.may('audit:read')) return null
  const from = new Date(visit.now.getTime() - FOUND_DAYS * DAY_MS).toISOString()
  const isShadow = rule.mode === 'shadow'
  const query = isShadow ? { from, limit: SHADOW_CALLS_MAX } : { from, limit: SHOWN_MAX, rule_id: rule.id }
  const answer = await visit.api.ask<Entries>('GET', '/v1/audit', { query, tenant: visit.me.tenant_id === null ? rule.tenant_id : null })
  if (!answer.ok) return null
  const { entries, total } = answer.json
  const found = isShadow ? entries.filter(({ findings }) => findings.some(({ rule_id, mode }) => rule_id === rule.id && mode === 'shadow')) : entries
  const of = isShadow ? `of the newest ${exact(entries.length)} calls of ${FOUND_DAYS} days` : `in ${FOUND_DAYS} days`
  return html`${heading(isShadow ? 'What it would have done' : 'What it did')}
  ${tiles([tile(isShadow ? 'Calls it would have acted on' : 'Calls it acted on', exact(isShadow ? found.length : total), of)])}
  ${exchangeTable(visit, {
    entries: found.slice(0, SHOWN_MAX),
    caption: 'The newest of these calls',
    isShort: true,
    empty: empty(
      isShadow ? 'It found nothing so far' : 'It found nothing lately',
      html`<p>${isShadow ? 'While it is a shadow rule, what it finds is recorded and nothing else happens.' : 'Try it on a text above.'}</p>`,
    ),
  })}`
}
