/** The production checklist. */
import type { Check } from './check.ts'
import { databaseChecks } from './checks/database.ts'
import { fileChecks } from './checks/files.ts'
import { runningChecks } from './checks/running.ts'
import { secretChecks } from './checks/secrets.ts'
import { tenantChecks } from './checks/tenants.ts'
import { toldChecks } from './checks/told.ts'
import { transportChecks } from './checks/transport.ts'

export const checks: readonly Check[] = [
  ...runningChecks,
  ...fileChecks,
  ...secretChecks,
  ...transportChecks,
  ...databaseChecks,
  ...tenantChecks,
  ...toldChecks,
]
