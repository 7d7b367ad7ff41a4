/** Writes a new rule. */
import type { Rule } from '../answers.ts'
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, redirect, type View, type Visit } from '../page.ts'
import { isTrial, ruleEditor } from './rule-editor.ts'
import { type Draft, draftFrom, isRefused, newDraft } from './rule-form.ts'
import { ruleTabs } from './rule-tabs.ts'
import { needsTenant } from './tenant-needed.ts'

export const newRulePage: Page = {
  path: '/rules/new',
  get: async (visit) => shown(visit, newDraft, null, null),
  async post(visit) {
    const { form, api, link } = visit
    const draft = draftFrom(form)
    if (isRefused(draft)) return shown(visit, newDraft, form, draft)
    if (isTrial(form)) return shown(visit, draft, form, null)
    const answer = await api.ask<Rule>('POST', '/v1/rules', { body: draft })
    return answer.ok ? redirect(link(`/rules/${answer.json.id}`), `The rule “${answer.json.name}” is in force.`) : shown(visit, draft, form, answer)
  },
}

async function shown(visit: Visit, draft: Draft, typed: URLSearchParams | null, refused: Refused | null): Promise<View> {
  if (visit.tenantId === null) return needsTenant(visit, 'New rule', 'A rule is one tenant’s.')
  return ruleEditor(visit, {
    title: 'New rule',
    above: html`${ruleTabs(visit)}`,
    draft,
    typed,
    refused,
    action: visit.link('/rules/new'),
    submit: 'Add the rule',
    below: null,
  })
}
