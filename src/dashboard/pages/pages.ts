/** Every page there is, in the order of the navigation. A literal path goes before one with a name in it: `/rules/new` is no rule. */
import type { Page } from '../page.ts'
import { accountPages } from './account.ts'
import { agentPages } from './agents.ts'
import { budgetPages } from './budgets.ts'
import { checkpointPages } from './checkpoints.ts'
import { doctorPages } from './doctor.ts'
import { erasurePages } from './erasures.ts'
import { escalationPages } from './escalations.ts'
import { exchangePages } from './exchanges.ts'
import { keyPages } from './keys.ts'
import { overviewPages } from './overview.ts'
import { rulePages } from './rules.ts'
import { tenantPages } from './tenants.ts'
import { upstreamPages } from './upstreams.ts'
import { userPages } from './users.ts'
import { webhookPages } from './webhooks.ts'

const all: readonly Page[] = [
  ...overviewPages,
  ...exchangePages,
  ...escalationPages,
  ...rulePages,
  ...agentPages,
  ...budgetPages,
  ...checkpointPages,
  ...erasurePages,
  ...tenantPages,
  ...keyPages,
  ...userPages,
  ...upstreamPages,
  ...webhookPages,
  ...doctorPages,
  ...accountPages,
]

const named = ({ path }: Page): number => path.split(':').length

export const pages: readonly Page[] = all.toSorted((a, b) => named(a) - named(b))
