/** What a key may do. Every management route names one of these. */
export const scopes = {
  'proxy:write': { about: 'send calls through the proxy', tenant: true },
  'rules:read': { about: "read the tenant's rules and policy versions", tenant: true },
  'rules:write': { about: "change the tenant's rules", tenant: true },
  'audit:read': { about: "read the tenant's audit log", tenant: true },
  admin: { about: 'everything, for every tenant', tenant: false },
} as const satisfies Record<string, { about: string; tenant: boolean }>

export type Scope = keyof typeof scopes

/** What a tenant's key may carry. `admin` belongs to the installation's own key and can never be given away. */
export const tenantScopes = ['proxy:write', 'rules:read', 'rules:write', 'audit:read'] as const satisfies readonly Scope[]
export type TenantScope = (typeof tenantScopes)[number]

export const firstKeyScopes: readonly TenantScope[] = tenantScopes
export const furtherKeyScopes: readonly TenantScope[] = ['proxy:write']
