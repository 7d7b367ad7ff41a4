/** Every rule, with filters, and what can be done with one at once. */
import { actions } from '../../rules/rule.ts'
import type { Rule, Rules } from '../answers.ts'
import { type Content, html } from '../html.ts'
import { type Page, type Visit, view } from '../page.ts'
import { conditionInWords } from '../parts/condition.ts'
import { linkButton, pager } from '../parts/controls.ts'
import { hidden, selectField } from '../parts/fields.ts'
import { action } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { rulePage } from './rule.ts'
import { newRulePage } from './rule-new.ts'
import { presetPages } from './rule-presets.ts'
import { ruleLink, stateOf, switches } from './rule-state.ts'
import { ruleTabs } from './rule-tabs.ts'
import { trialPages } from './rule-trial.ts'
import { versionPages } from './rule-versions.ts'

const LIMIT = 100

const list: Page = {
  path: '/rules',
  nav: { label: 'Rules', group: 'Govern', scope: 'rules:read' },
  async get(visit) {
    const { query, api, link } = visit
    const asked = Object.fromEntries(['action', 'mode', 'active', 'preset'].map((name) => [name, query.get(name) ?? '']))
    const offset = Number(query.get('offset') ?? 0) || 0
    const { rules, total } = await api.get<Rules>('/v1/rules', { ...asked, limit: LIMIT, offset })
    const mayWrite = visit.may('rules:write')
    return view(
      'Rules',
      html`${ruleTabs(visit)}
      <div class="heading">${filters(visit, asked)}${mayWrite ? html`<div class="actions">${linkButton(link('/rules/new'), 'New rule', { isPrimary: true })}</div>` : null}</div>
      ${rulesTable(visit, rules, mayWrite)}
      ${pager({ total, limit: LIMIT, offset, link: (more) => link('/rules', { ...asked, ...more }) })}`,
    )
  },
}

const filters = (visit: Visit, asked: Readonly<Record<string, string>>): Content =>
  html`<form class="filters" method="get" action="/rules" aria-label="Filters">
    ${visit.me.tenant_id === null && visit.tenantId !== null ? hidden('tenant_id', visit.tenantId) : null}
    ${selectField({ name: 'action', label: 'Action', value: asked.action ?? '', options: [{ value: '', label: 'Any' }, ...actions.map((value) => ({ value, label: value }))] })}
    ${selectField({
      name: 'mode',
      label: 'Mode',
      value: asked.mode ?? '',
      options: [
        { value: '', label: 'Any' },
        { value: 'enforce', label: 'enforce' },
        { value: 'shadow', label: 'shadow' },
      ],
    })}
    ${selectField({
      name: 'active',
      label: 'State',
      value: asked.active ?? '',
      options: [
        { value: '', label: 'Any' },
        { value: 'true', label: 'active' },
        { value: 'false', label: 'inactive' },
      ],
    })}
    <div class="actions"><button class="button">Filter</button></div>
  </form>`

function rulesTable(visit: Visit, rules: readonly Rule[], mayWrite: boolean): Content {
  const hasTenants = visit.tenantId === null
  const names = new Map(visit.tenants.map(({ tenant_id, name }) => [tenant_id, name]))
  return table({
    caption: 'Rules, highest priority first',
    columns: [
      { label: 'Rule' },
      ...(hasTenants ? [{ label: 'Tenant' }] : []),
      { label: 'Action' },
      { label: 'Priority', isNumber: true },
      { label: 'State' },
      ...(mayWrite ? [{ label: 'Change', isQuiet: true }] : []),
    ],
    rows: rules.map((rule) => [
      html`<a href="${ruleLink(visit, rule)}">${rule.name}</a><span class="condition">${conditionInWords(rule.condition)}</span>`,
      ...(hasTenants ? [names.get(rule.tenant_id) ?? rule.tenant_id] : []),
      action(rule.action),
      rule.priority,
      stateOf(rule),
      ...(mayWrite ? [switches(visit, rule)] : []),
    ]),
    empty: empty(
      'There are no rules here',
      html`<p>Nothing is judged without one. ${mayWrite ? html`<a href="${visit.link('/rules/presets')}">Apply a preset</a> or <a href="${visit.link('/rules/new')}">write a rule</a>.` : 'Somebody who writes rules adds them.'}</p>`,
    ),
  })
}

export const rulePages: readonly Page[] = [list, newRulePage, ...trialPages, ...presetPages, ...versionPages, rulePage]
