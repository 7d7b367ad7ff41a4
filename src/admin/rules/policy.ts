/** Every route around rules. */

import type { AdminParts } from '../parts.ts'
import type { Route } from '../route.ts'
import { dictionaryRoutes } from './dictionaries.ts'
import { importRoutes } from './import-export.ts'
import { ruleRoutes } from './rules.ts'
import { simulateRoutes } from './simulate.ts'
import { createPoliciesInForce, trialRoutes } from './try-rules.ts'
import { versionRoutes } from './versions.ts'

export function policyRoutes(parts: AdminParts): Route[] {
  const inForce = createPoliciesInForce(parts)
  return [
    ...ruleRoutes(parts),
    ...trialRoutes(parts, inForce),
    ...simulateRoutes(parts, inForce),
    ...versionRoutes(parts),
    ...importRoutes(parts),
    ...dictionaryRoutes(parts),
  ]
}
