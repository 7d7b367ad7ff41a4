import type { Agent } from '../call.ts'
import type { Settler } from './stage.ts'

export interface AgentWatch {
  /** A call of this agent has ended and is on record. */
  saw(tenantId: string, agent: Agent): void
}

/** Has an agent looked at that may have to be quarantined. It costs nothing for those nobody set thresholds for. */
export const watchAgent =
  (watch: AgentWatch): Settler =>
  ({ caller }) => {
    if (caller?.agent?.quarantine) watch.saw(caller.tenant.id, caller.agent)
    return undefined
  }
