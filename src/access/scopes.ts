/**
 * What may be done. Every management route names one of these. `reach`: a scope of the installation does nothing within one tenant, whoever holds it
 * there. `key`: a tenant's key may carry it.
 */
export const scopes = {
  'proxy:write': { about: 'send calls through the proxy', reach: 'tenant', key: true },
  'sessions:read': { about: 'list sessions; a key: those it made', reach: 'tenant', key: true },
  'sessions:write': { about: 'make and end sessions; a key: its own', reach: 'tenant', key: true },
  'sessions:lock': { about: 'end all sessions at once, and clear away those that are over', reach: 'tenant', key: false },
  'sessions:unlock': { about: 'let sessions be made again', reach: 'tenant', key: false },
  'rules:read': { about: 'read rules, dictionaries and policy versions, and try them', reach: 'tenant', key: true },
  'rules:write': { about: 'change rules and dictionaries', reach: 'tenant', key: true },
  'stats:read': { about: 'read totals of calls and costs', reach: 'tenant', key: true },
  'audit:read': { about: 'read, export and verify the audit log', reach: 'tenant', key: true },
  'audit:erase': { about: 'erase what the audit log says of a person', reach: 'tenant', key: false },
  'tenants:read': { about: 'list tenants', reach: 'tenant', key: false },
  'tenants:write': { about: 'add, change and close tenants', reach: 'installation', key: false },
  'keys:read': { about: 'list API keys', reach: 'tenant', key: false },
  'keys:write': { about: 'issue and revoke API keys', reach: 'tenant', key: false },
  'agents:write': { about: 'add and change agents, quarantine and release them', reach: 'tenant', key: false },
  'upstreams:read': { about: 'read upstreams, never their credentials', reach: 'tenant', key: false },
  'upstreams:write': { about: 'add and change upstreams and their prices', reach: 'installation', key: false },
  'budgets:write': { about: 'add and change budgets', reach: 'installation', key: false },
  'webhooks:read': { about: 'list webhooks and what became of their deliveries', reach: 'tenant', key: true },
  'webhooks:write': { about: 'add, change, test and replay webhooks', reach: 'tenant', key: true },
  'escalations:read': { about: 'list calls that wait for a person, without what they say', reach: 'tenant', key: false },
  'escalations:decide': { about: 'read what such a call says, and approve or deny it', reach: 'tenant', key: false },
  'users:read': { about: 'list people', reach: 'tenant', key: false },
  'users:write': { about: 'add and change people', reach: 'tenant', key: false },
  'ops:read': { about: 'read settings, with secrets masked', reach: 'installation', key: false },
  'ops:write': { about: 'rotate keys', reach: 'installation', key: false },
  admin: { about: 'everything, for every tenant', reach: 'installation', key: false },
} as const satisfies Record<string, { about: string; reach: 'tenant' | 'installation'; key: boolean }>

export type Scope = keyof typeof scopes

export const isScope = (word: string): word is Scope => Object.hasOwn(scopes, word)

/** What comes with another scope. */
const implied: Partial<Record<Scope, readonly Scope[]>> = {
  'proxy:write': ['sessions:read', 'sessions:write'],
  'audit:read': ['stats:read'],
  'webhooks:write': ['webhooks:read'],
  'escalations:decide': ['escalations:read'],
}

/** What a tenant's key may carry, by whatever its row says. */
export type TenantScope = { [S in Scope]: (typeof scopes)[S]['key'] extends true ? S : never }[Scope]
export const tenantScopes = (Object.keys(scopes) as Scope[]).filter((scope): scope is TenantScope => scopes[scope].key)

export const firstKeyScopes: readonly TenantScope[] = ['proxy:write', 'rules:read', 'rules:write', 'audit:read']
export const furtherKeyScopes: readonly TenantScope[] = ['proxy:write']

/** Everything that these let somebody do. */
export const withImplied = (held: Iterable<string>): ReadonlySet<Scope> =>
  new Set([...held].filter(isScope).flatMap((scope) => [scope, ...(implied[scope] ?? [])]))
