import type { Desk } from '../escalations/desk.ts'
import { mayHaveLeft } from './may-have-left.ts'
import type { Settler } from './stage.ts'

/** An approval of which nothing came may be used again, by the same call when it is sent again. */
export const giveBackApproval =
  (desk: Pick<Desk, 'giveBack'>): Settler =>
  ({ caller, auditId, trace }) => {
    const { held } = trace
    if (!caller || !held || held.approvedBy === null || mayHaveLeft(trace)) return undefined
    return desk.giveBack(held.id, { tenantId: caller.tenant.id, auditId })
  }
