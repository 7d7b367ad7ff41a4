/** Ready-made rules, and how a tenant gets them. */
import type { Presets } from '../answers.ts'
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, redirect, type View, type Visit, view } from '../page.ts'
import { conditionInWords } from '../parts/condition.ts'
import { postButton } from '../parts/controls.ts'
import { action } from '../parts/figures.ts'
import { advice, refusal } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { ruleTabs } from './rule-tabs.ts'

const presetPage: Page = {
  path: '/rules/presets',
  get: async (visit) => shown(visit, null),
  async post(visit) {
    const { form, api, link } = visit
    const name = form.get('preset') ?? ''
    const answer = await api.ask<{ applied: number; skipped: number }>('POST', `/v1/rules/presets/${encodeURIComponent(name)}/apply`, {
      body: { mode: form.get('mode') === 'replace' ? 'replace' : 'merge' },
    })
    if (!answer.ok) return shown(visit, answer)
    const { applied, skipped } = answer.json
    return redirect(
      link('/rules'),
      `Of ${name}, ${applied} ${applied === 1 ? 'rule was' : 'rules were'} added${skipped > 0 ? ` and ${skipped} were there already` : ''}.`,
    )
  },
}

async function shown(visit: Visit, refused: Refused | null): Promise<View> {
  const { presets } = await visit.api.get<Presets>('/v1/rules/presets')
  const mayApply = visit.may('rules:write') && visit.tenantId !== null
  return view(
    'Presets',
    html`${ruleTabs(visit)}
    ${refusal(refused)}
    <p class="quiet">A beginning, and not compliance: what an organisation must keep in, only it knows.</p>
    ${visit.may('rules:write') && visit.tenantId === null ? advice('Choose a tenant at the top to apply one.') : null}
    <div class="columns">${presets.map(
      ({ name, about, rules }) => html`<section class="card" aria-labelledby="preset-${name}"><h2 id="preset-${name}">${name}</h2>
        <p>${about}</p>
        <details><summary>${rules.length} rules</summary>${table({
          caption: `Rules of ${name}`,
          columns: [{ label: 'Rule' }, { label: 'Action' }],
          rows: rules.map((rule) => [html`${rule.name}<span class="condition">${conditionInWords(rule.condition)}</span>`, action(rule.action)]),
          empty: null,
        })}</details>
        ${
          mayApply
            ? html`<div class="actions">${postButton({ action: visit.link('/rules/presets'), label: 'Add what is missing', about: `of ${name}`, values: { preset: name, mode: 'merge' } })}
            ${postButton({
              action: visit.link('/rules/presets'),
              label: 'Replace all rules',
              about: `by ${name}`,
              values: { preset: name, mode: 'replace' },
              confirm: `Remove every rule of this tenant and put those of ${name} in their place? An older version brings them back.`,
              isDangerous: true,
            })}</div>`
            : null
        }</section>`,
    )}</div>`,
    { status: refused?.status ?? 200 },
  )
}

export const presetPages: readonly Page[] = [presetPage]
