/** What state a rule is in, and the buttons that change it. */
import type { Rule } from '../answers.ts'
import { queryOf } from '../api.ts'
import type { Content } from '../html.ts'
import type { Visit } from '../page.ts'
import { postButton } from '../parts/controls.ts'
import { badge } from '../parts/figures.ts'

export const stateOf = ({ active, mode }: Pick<Rule, 'active' | 'mode'>): Content =>
  active ? (mode === 'shadow' ? badge('shadow', 'special') : badge('enforced', 'good')) : badge('inactive')

/** Who sees all tenants changes a rule as one of its own tenant. */
export const ruleLink = ({ me, link }: Visit, { id, tenant_id }: Pick<Rule, 'id' | 'tenant_id'>): string =>
  me.tenant_id === null ? `/rules/${id}${queryOf({ tenant_id })}` : link(`/rules/${id}`)

export const switches = (visit: Visit, rule: Rule): Content => [
  postButton({
    action: ruleLink(visit, rule),
    label: rule.mode === 'shadow' ? 'Enforce' : 'Shadow',
    about: rule.name,
    values: { do: rule.mode === 'shadow' ? 'enforce' : 'shadow' },
  }),
  ' ',
  postButton({
    action: ruleLink(visit, rule),
    label: rule.active ? 'Deactivate' : 'Activate',
    about: rule.name,
    values: { do: rule.active ? 'deactivate' : 'activate' },
  }),
]
