/** Whose delivery is next: deliveries of one endpoint in order, endpoints of a tenant in turn, and tenants alike, however much one of them has waiting. */
import { ENDPOINT_ATTEMPTS_MAX } from './attempt.ts'

/** Attempts at once: of this process; of a tenant that is alone, which leaves room for who comes; and of one among others. */
const ATTEMPTS_MAX = 64
const TENANT_ALONE_MAX = 48
const TENANT_MAX = 16
/** What is taken in hand is this many times as much as may be under way, so that an attempt that ends is followed by another at once. */
const HELD_FACTOR = 4

/** A delivery in hand. A null tenant is the installation. */
export interface InHand {
  id: string
  webhookId: string
  tenantId: string | null
}

/** An endpoint for which something is due. */
export interface DueEndpoint {
  webhookId: string
  tenantId: string | null
}

interface Tenant {
  running: number
  held: number
}

interface Line<One> {
  tenant: Tenant
  waiting: One[]
  running: number
  held: number
}

export function createTurns<One extends InHand>() {
  // In the order of turns: whoever had one goes to the end.
  const lines = new Map<string, Line<One>>()
  // Those that have something in hand.
  const tenants = new Map<string | null, Tenant>()
  let running = 0
  let held = 0

  function lineOf({ webhookId, tenantId }: DueEndpoint): Line<One> {
    const tenant = tenants.get(tenantId) ?? { running: 0, held: 0 }
    tenants.set(tenantId, tenant)
    const line = lines.get(webhookId) ?? { tenant, waiting: [], running: 0, held: 0 }
    lines.set(webhookId, line)
    return line
  }

  const count = (line: Line<One>, of: 'running' | 'held', by: 1 | -1): void => {
    line[of] += by
    line.tenant[of] += by
    if (of === 'running') running += by
    else held += by
  }

  return {
    /** Taken and not yet released. */
    get held() {
      return held
    },

    /** How many of which endpoint to take in hand: the tenant that has least gets next, and of its endpoints the one that comes first in `due`. */
    wanted(due: readonly DueEndpoint[]): { webhookId: string; wanted: number }[] {
      const dueOf = new Map<string | null, { held: number; endpoints: { webhookId: string; held: number; wanted: number }[] }>()
      for (const { webhookId, tenantId } of due) {
        const tenant = dueOf.get(tenantId) ?? { held: tenants.get(tenantId)?.held ?? 0, endpoints: [] }
        dueOf.set(tenantId, tenant)
        tenant.endpoints.push({ webhookId, held: lines.get(webhookId)?.held ?? 0, wanted: 0 })
      }
      for (let total = held; total < ATTEMPTS_MAX * HELD_FACTOR; ) {
        const tenant = least([...dueOf.values()].filter(hasRoom))
        if (!tenant) break
        const endpoint = least(tenant.endpoints.filter(isOpen))
        if (!endpoint) break
        const share = Math.min(ENDPOINT_ATTEMPTS_MAX, ATTEMPTS_MAX * HELD_FACTOR - total)
        for (const one of [tenant, endpoint]) one.held += share
        endpoint.wanted += share
        total += share
      }
      return [...dueOf.values()].flatMap(({ endpoints }) => endpoints.flatMap(({ webhookId, wanted }) => (wanted > 0 ? [{ webhookId, wanted }] : [])))
    },

    add(ones: readonly One[]): void {
      for (const one of ones) {
        const line = lineOf(one)
        line.waiting.push(one)
        count(line, 'held', 1)
      }
    },

    /** Whoever may begin now; it counts as under way until it `ended`, or is put back. */
    next(): One | undefined {
      if (running >= ATTEMPTS_MAX) return undefined
      const most = tenants.size === 1 ? TENANT_ALONE_MAX : TENANT_MAX
      let chosen: { webhookId: string; line: Line<One> } | undefined
      for (const [webhookId, line] of lines) {
        if (line.waiting.length === 0 || line.running >= ENDPOINT_ATTEMPTS_MAX || line.tenant.running >= most) continue
        if (!chosen || line.tenant.running < chosen.line.tenant.running) chosen = { webhookId, line }
      }
      const one = chosen?.line.waiting.shift()
      if (!chosen || !one) return undefined
      lines.delete(chosen.webhookId)
      lines.set(chosen.webhookId, chosen.line)
      count(chosen.line, 'running', 1)
      return one
    },

    /** It has not begun after all, and is next again. */
    putBack(one: One): void {
      const line = lineOf(one)
      line.waiting.unshift(one)
      count(line, 'running', -1)
    },

    /** Endpoints with something that has not begun. */
    waiting: (): string[] => [...lines].flatMap(([webhookId, line]) => (line.waiting.length > 0 ? [webhookId] : [])),

    /** Its attempt is over. */
    ended(one: InHand): void {
      count(lineOf(one), 'running', -1)
    },

    /** It is no longer in hand. */
    released(one: InHand): void {
      const line = lineOf(one)
      count(line, 'held', -1)
      if (line.held === 0) lines.delete(one.webhookId)
      if (line.tenant.held === 0) tenants.delete(one.tenantId)
    },

    /** What has not begun, of everybody: it is still in hand. */
    takeWaiting: (): One[] => [...lines.values()].flatMap((line) => line.waiting.splice(0)),
  }
}

const hasRoom = (tenant: { held: number; endpoints: readonly { held: number }[] }): boolean =>
  tenant.held < TENANT_MAX * HELD_FACTOR && tenant.endpoints.some(isOpen)
const isOpen = ({ held }: { held: number }): boolean => held + ENDPOINT_ATTEMPTS_MAX <= ENDPOINT_ATTEMPTS_MAX * HELD_FACTOR

/** The first of those that have least. */
function least<One extends { held: number }>(ones: readonly One[]): One | undefined {
  let first: One | undefined
  for (const one of ones) if (!first || one.held < first.held) first = one
  return first
}
