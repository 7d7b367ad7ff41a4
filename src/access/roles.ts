/** What people may do, by their role. Within one tenant a role does what of it concerns one tenant. */
import { type Scope, scopes, withImplied } from './scopes.ts'

export const roles = {
  owner: { about: 'everything but calls, which need a key or a session', scopes: (Object.keys(scopes) as Scope[]).filter((scope) => scope !== 'proxy:write') },
  operator: {
    about: 'runs it: tenants, keys, agents, upstreams, budgets, sessions, webhooks',
    scopes: [
      'sessions:read',
      'sessions:write',
      'sessions:lock',
      'rules:read',
      'audit:read',
      'tenants:read',
      'tenants:write',
      'keys:read',
      'keys:write',
      'agents:write',
      'upstreams:read',
      'upstreams:write',
      'budgets:write',
      'webhooks:write',
      'escalations:read',
      'ops:read',
    ],
  },
  rule_author: { about: 'writes rules, and sees what they do', scopes: ['rules:read', 'rules:write', 'audit:read', 'upstreams:read'] },
  arbiter: { about: 'decides what waits for a person', scopes: ['rules:read', 'audit:read', 'escalations:decide'] },
  auditor: {
    about: 'reads everything, and changes nothing',
    scopes: [
      'sessions:read',
      'rules:read',
      'audit:read',
      'tenants:read',
      'keys:read',
      'upstreams:read',
      'users:read',
      'webhooks:read',
      'escalations:read',
      'ops:read',
    ],
  },
  viewer: { about: 'sees rules and totals', scopes: ['rules:read', 'stats:read', 'tenants:read', 'upstreams:read'] },
} as const satisfies Record<string, { about: string; scopes: readonly Scope[] }>

export type Role = keyof typeof roles
export const roleNames = Object.keys(roles) as [Role, ...Role[]]

export const isRole = (word: unknown): word is Role => typeof word === 'string' && Object.hasOwn(roles, word)

/** What a role lets somebody do who belongs to a tenant; null: to the whole installation. */
export const scopesOf = (role: Role, tenantId: string | null): ReadonlySet<Scope> =>
  new Set([...withImplied(roles[role].scopes)].filter((scope) => tenantId === null || scopes[scope].reach === 'tenant'))
