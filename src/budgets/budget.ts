import type { Window } from './window.ts'

export const scopes = ['tenant', 'agent', 'key', 'user'] as const

/** How much may be spent by whom in each window of time. */
export interface Budget {
  id: string
  tenantId: string
  scope: (typeof scopes)[number]
  /** The agent's id, the key's prefix, or what the caller says the user is; the tenant's own id for the tenant. */
  scopeId: string
  /** Nano-dollars (billionths of a US dollar) or tokens. */
  amount: number
  unit: 'usd' | 'tokens'
  window: Window
  /** A hard budget refuses what it does not hold, a soft one only counts. */
  mode: 'hard' | 'soft'
}
