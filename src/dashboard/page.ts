/** What a page is, what it is given when somebody looks at it, and what it answers. */
import type { Api, Query } from './api.ts'
import type { Content } from './html.ts'

/** Who looks, as `GET /v1/auth/me` tells it. */
export interface Me {
  id: string
  email: string | null
  name: string | null
  role: string | null
  /** Null: of the whole installation. */
  tenant_id: string | null
  scopes: readonly string[]
}

export interface TenantName {
  tenant_id: string
  name: string
  active: boolean
}

export interface Visit {
  readonly api: Api
  readonly me: Me
  /** Whether whoever looks has this scope. What the API refuses it refuses in any case: this is for what is offered. */
  may(scope: string): boolean
  /** Whose affairs are shown: one's own tenant, or the one that was chosen; null: those of all. */
  readonly tenantId: string | null
  /** Those to choose among; empty for people of one tenant. */
  readonly tenants: readonly TenantName[]
  readonly path: string
  /** What the pattern of the path names: `id` of `/rules/:id`. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** What a form sent; empty unless it is a POST. */
  readonly form: URLSearchParams
  /** A part of a page is asked for, not the page. */
  readonly isPart: boolean
  /** A path of the dashboard, with the chosen tenant kept. */
  link(path: string, query?: Query): string
  /** Where clients reach the proxy. */
  readonly proxyUrl: string
  /** The file of the authority that they must be told of; null: they know it. */
  readonly caPath: string | null
  readonly version: string
  readonly now: Date
}

/** A whole page: its frame comes by itself. */
export interface View {
  kind: 'view'
  title: string
  body: Content
  status: number
  /** What it needs beside what every page has. */
  scripts: readonly ('charts' | 'rule-editor')[]
}
export interface Part {
  kind: 'part'
  body: Content
  status: number
}
export interface Redirect {
  kind: 'redirect'
  to: string
  /** Is said once, on the page that follows. */
  told: string | null
}
export interface Download {
  kind: 'download'
  /** Its body and its type are passed on. */
  answer: Response
  fileName: string
}
export type Reply = View | Part | Redirect | Download

export type Group = 'Watch' | 'Govern' | 'Run'

export interface Page {
  /** As Hono writes it: `/rules/:id`. */
  path: string
  /** How it stands in the navigation, for whom: those who have the scope. */
  nav?: { label: string; group: Group; scope: string }
  get?(visit: Visit): Promise<Reply>
  post?(visit: Visit): Promise<Reply>
}

export const view = (title: string, body: Content, { status = 200, scripts = [] }: Partial<Pick<View, 'status' | 'scripts'>> = {}): View => ({
  kind: 'view',
  title,
  body,
  status,
  scripts,
})

/** For htmx: what it puts into the page. */
export const part = (body: Content, status = 200): Part => ({ kind: 'part', body, status })

/** What the API answered (`visit.api.download`), for the browser to keep. */
export const download = (answer: Response, fileName: string): Download => ({ kind: 'download', answer, fileName })

/** With 303, so that reloading what follows sends nothing again. */
export const redirect = (to: string, told: string | null = null): Redirect => ({ kind: 'redirect', to, told })
