/** Exchanges in a table, as the first page and the list have them. */
import type { Entry } from '../answers.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { code, duration, money, time, verdict } from './figures.ts'
import { table } from './table.ts'

interface Shown {
  entries: readonly Entry[]
  caption: string
  empty: Content
  /** Where there is little room: without cost and rules. */
  isShort?: boolean
}

export function exchangeTable(visit: Visit, { entries, caption, empty, isShort = false }: Shown): Content {
  // Whose it is matters only where several are shown.
  const hasTenants = visit.tenantId === null
  const tenantName = new Map(visit.tenants.map(({ tenant_id, name }) => [tenant_id, name]))
  return table({
    caption,
    columns: [
      { label: 'Time' },
      { label: 'Verdict' },
      ...(hasTenants ? [{ label: 'Tenant' }] : []),
      { label: 'Model' },
      { label: 'Outcome' },
      ...(isShort
        ? []
        : [
            { label: 'Rules', isNumber: true },
            { label: 'Cost', isNumber: true },
          ]),
      { label: 'Latency', isNumber: true },
    ],
    rows: entries.map((entry) => [
      html`<a href="${visit.link(`/exchanges/${entry.audit_id}`)}">${time(entry.timestamp, { isShort: true })}</a>`,
      verdict(entry.status),
      ...(hasTenants ? [entry.tenant_id === null ? '–' : (tenantName.get(entry.tenant_id) ?? code(entry.tenant_id))] : []),
      code(entry.model),
      outcomeOf(entry),
      ...(isShort ? [] : [entry.rules_triggered.length, money(entry.cost_usd)]),
      duration(entry.latency_ms),
    ]),
    empty,
  })
}

/** How it ended, and why where that is known. */
export const outcomeOf = ({ outcome, reason, http_status }: Entry): Content =>
  html`<span class="outcome">${outcome.replaceAll('_', ' ')}${reason === null ? null : html` <span class="quiet">${reason.replaceAll('_', ' ')}</span>`}${http_status === null ? null : html` <span class="quiet">${http_status}</span>`}</span>`
