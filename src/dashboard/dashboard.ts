/** The dashboard: pages over the management API, which it asks in this process as whoever looks. It has no database and no rights of its own. */
import { Hono, type Context as HonoContext } from 'hono'
import { type Api, ApiRefusal, createApi, type Management, type Peer, queryOf } from './api.ts'
import { createAssets } from './assets.ts'
import { type Cookies, cookiesFor } from './cookies.ts'
import { readForm, type Unreadable } from './form.ts'
import type { Content } from './html.ts'
import { bareOf, pageOf } from './layout.ts'
import type { Me, Page, Reply, TenantName, Visit } from './page.ts'
import { view } from './page.ts'
import { errorPage, errorPart } from './pages/errors.ts'
import { pages } from './pages/pages.ts'
import { isOwnPath, signInPage } from './pages/sign-in.ts'
import { isFromOurPage } from './same-origin.ts'

export interface DashboardParts {
  management: Management
  version: string
  /** Where clients reach the proxy. */
  proxyUrl: () => string
  /** The file of the authority that clients must be told of, where the certificate is our own; null: they know it. */
  caPath?: () => string | null
  /** Milliseconds since 1970. */
  now: () => number
  /** A surprise: its details are for the log alone. */
  report(error: unknown): void
}

export interface Visitor {
  peer: Peer
  /** TLS ends here, or before us: the browser shows a lock. */
  isEncrypted: boolean
}

export interface Dashboard {
  fetch(request: Request, visitor: Visitor): Promise<Response>
  /** For tests. */
  readonly assetNames: readonly string[]
}

type Context = HonoContext<{ Bindings: Visitor }>

/** No inline script or style, nothing from elsewhere, no frame, no other target of a form. */
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

const GUARDED: readonly (readonly [name: string, value: string])[] = [
  ['content-security-policy', CONTENT_SECURITY_POLICY],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  // With no-referrer a browser would send `Origin: null` with our own forms (Fetch, section 3.2).
  ['referrer-policy', 'same-origin'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', 'camera=(), geolocation=(), microphone=()'],
]
const FOREIGN = {
  status: 403,
  title: 'Not from here',
  message: 'This was asked by a page of another site, so nothing was done. Use the dashboard itself.',
}
/** No browser keeps such a login: its cookie is for TLS alone. What was sent has been read by whoever is in between. */
const PLAIN = {
  status: 400,
  title: 'Not over plain HTTP',
  message: 'Open the dashboard by https://: over plain HTTP a browser keeps no login here. If you typed a password, change it.',
}
const TENANTS_MAX = 1_000
/** How old their names may be in a part of a page that is there. */
const KEPT_MS = 5_000
/** What somebody sends whom nobody knows yet: an address, a password, and where they want to go. */
const STRANGER_BYTES_MAX = 16 * 1024
const STRANGER = 401
const TOO_LATE = 'Your login had ended, so nothing was done. Sign in and do it again.'
/** htmx asks for a part of a page that is there. */
const isPart = (c: Context): boolean => c.req.header('hx-request') === 'true'

export function createDashboard({ management, version, proxyUrl, caPath = () => null, now, report }: DashboardParts): Dashboard {
  const assets = createAssets()
  let kept: { at: number; tenants: readonly TenantName[] } | null = null
  const app = new Hono<{ Bindings: Visitor }>()

  app.use(async (c, next) => {
    await next()
    for (const [name, value] of GUARDED) c.res.headers.set(name, value)
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
  })
  app.get('/assets/*', (c) => assets.answer(c.req.path, c.req.raw.headers) ?? notFound(c))
  app.get('/sign-in', (c) => signIn(c, {}))
  app.post('/sign-in', async (c) => {
    if (c.env.isEncrypted && c.req.header('origin')?.startsWith('http:')) return unread(c, PLAIN)
    const form = await formOf(c)
    if (form instanceof Response) return form
    const answer = await apiFor(c, null).ask('POST', '/v1/auth/login', { body: { email: form.get('email') ?? '', password: form.get('password') ?? '' } })
    const next = form.get('next') ?? '/'
    if (!answer.ok) return signIn(c, { refused: answer, email: form.get('email') ?? '', next })
    return went(c, isOwnPath(next) ? next : '/', { setCookie: answer.headers.get('set-cookie') })
  })
  app.post('/sign-out', async (c) => {
    const form = await formOf(c)
    if (form instanceof Response) return form
    const cookies = cookiesOf(c)
    const answer = await apiFor(c, cookies.login(c.req.raw.headers)).ask('POST', '/v1/auth/logout')
    // A login that has ended already is as good as one that ends now.
    if (!answer.ok && answer.status !== STRANGER) return shown(c, errorPage(answer), null)
    return went(c, '/sign-in', { setCookie: answer.ok ? answer.headers.get('set-cookie') : null, told: 'You are signed out.' })
  })
  for (const page of pages) {
    if (page.get) app.get(page.path, (c) => visited(c, page.get))
    if (page.post) app.post(page.path, (c) => visited(c, page.post))
  }
  app.notFound((c) => notFound(c))
  app.onError((error, c) => {
    if (error instanceof ApiRefusal)
      return isPart(c) ? written(c, errorPart(error.refused).body, error.refused.status) : shown(c, errorPage(error.refused), null)
    report(error)
    return isPart(c) ? written(c, errorPart(null).body, errorPart(null).status) : shown(c, errorPage(null), null)
  })

  return { fetch: async (request, visitor) => app.fetch(request, visitor), assetNames: assets.names }

  /** Everything but signing in: only for whom the API knows. */
  async function visited(c: Context, run: Page['get']): Promise<Response> {
    const isPost = c.req.method === 'POST'
    if (isPost && !isFromOurPage(c.req.raw)) return unread(c, FOREIGN)
    const visitor = await visitOf(c)
    // Who that is comes before what they send: of a stranger nothing large is read.
    if (visitor === null) return stranger(c, isPost ? TOO_LATE : null)
    const form = isPost ? await readForm(c.req.raw) : visitor.form
    if (!(form instanceof URLSearchParams)) return unread(c, form)
    const visit = { ...visitor, form }
    try {
      return await answered(c, visit, run ? await run(visit) : errorPage(null))
    } catch (error) {
      if (!(error instanceof ApiRefusal)) throw error
      const { refused } = error
      if (refused.status === STRANGER) return stranger(c)
      return answered(c, visit, visit.isPart ? errorPart(refused) : errorPage(refused))
    }
  }

  /** Null for whoever is not logged in. Its form is not read yet. */
  async function visitOf(c: Context): Promise<Visit | null> {
    const { headers } = c.req.raw
    const login = cookiesOf(c).login(headers)
    const api = apiFor(c, login)
    const who = login === null ? null : await api.ask<Me>('GET', '/v1/auth/me')
    if (who === null || (!who.ok && who.status === STRANGER)) return null
    if (!who.ok) throw new ApiRefusal(who)
    const me = who.json
    const query = new URL(c.req.url).searchParams
    const asked = query.get('tenant_id')
    const chosen = me.tenant_id === null && asked !== null && asked !== '' ? asked : null
    const scopes = new Set(me.scopes)
    // For whoever chooses among them, and for the names of those that are shown together.
    const hasTenants = me.tenant_id === null && scopes.has('tenants:read') && !(isPart(c) && chosen !== null)
    const tenants = hasTenants ? await tenantsFor(api, isPart(c)) : []
    return {
      api: apiFor(c, login, chosen),
      me,
      may: (scope) => scopes.has(scope),
      tenantId: me.tenant_id ?? chosen,
      tenants,
      path: c.req.path,
      params: c.req.param(),
      query,
      form: new URLSearchParams(),
      isPart: isPart(c),
      link: (path, more = {}) => `${path}${queryOf({ tenant_id: chosen, ...more })}`,
      proxyUrl: proxyUrl(),
      caPath: caPath(),
      version,
      now: new Date(now()),
    }
  }

  /** All who may see them see the same. Parts are asked for every other second, and take them from the last answer. */
  async function tenantsFor(api: Api, mayBeKept: boolean): Promise<readonly TenantName[]> {
    if (mayBeKept && kept && now() - kept.at < KEPT_MS) return kept.tenants
    const { tenants } = await api.get<{ tenants: TenantName[] }>('/v1/tenants', { limit: TENANTS_MAX })
    kept = { at: now(), tenants }
    return tenants
  }

  function answered(c: Context, visit: Visit, reply: Reply): Promise<Response> | Response {
    if (reply.kind === 'redirect') return went(c, reply.to, { told: reply.told })
    if (reply.kind === 'download') {
      const { answer, fileName } = reply
      const type = answer.headers.get('content-type') ?? 'application/octet-stream'
      const disposition = `attachment; filename="${fileName.replaceAll(/[^\w.-]/g, '-')}"`
      return new Response(answer.body, { headers: { 'content-type': type, 'content-disposition': disposition } })
    }
    if (reply.kind === 'part') return written(c, reply.body, reply.status)
    return shown(c, reply, visit)
  }

  async function shown(c: Context, found: ReturnType<typeof view>, visit: Visit | null): Promise<Response> {
    const cookies = cookiesOf(c)
    const told = cookies.told(c.req.raw.headers)
    const framed = { view: found, assets, told }
    if (told !== null) c.header('set-cookie', cookies.forgetTold(), { append: true })
    return written(c, visit === null ? bareOf(framed) : pageOf(framed, visit, pages), found.status)
  }

  async function written(c: Context, body: Content, status: number): Promise<Response> {
    return c.html(String(await body), status as 200)
  }

  function signIn(c: Context, { next = c.req.query('next') ?? '/', ...more }: Parameters<typeof signInPage>[0]): Promise<Response> {
    return shown(c, signInPage({ ...more, next: isOwnPath(next) ? next : '/' }), null)
  }

  /** To where one signs in, and back. htmx is told so in its own way: it would put the page for signing in into the middle of another. */
  function stranger(c: Context, told: string | null = null): Response {
    const cookies = cookiesOf(c)
    const { pathname, search } = new URL(c.req.url)
    const to = `/sign-in${queryOf({ next: c.req.method === 'GET' && !isPart(c) && pathname !== '/' ? `${pathname}${search}` : null })}`
    const wasSignedIn = cookies.login(c.req.raw.headers) !== null
    if (wasSignedIn) c.header('set-cookie', cookies.forgetLogin(), { append: true })
    if (wasSignedIn && told !== null) c.header('set-cookie', cookies.tell(told), { append: true })
    if (c.req.method === 'POST') c.header('connection', 'close') // what they send may not have been read
    if (isPart(c)) return c.body(null, 401, { 'hx-redirect': to })
    return c.redirect(to, 303)
  }

  function went(c: Context, to: string, { setCookie = null, told = null }: { setCookie?: string | null; told?: string | null }): Response {
    const cookies = cookiesOf(c)
    if (setCookie !== null) c.header('set-cookie', cookies.passOn(setCookie), { append: true })
    if (told !== null) c.header('set-cookie', cookies.tell(told), { append: true })
    return c.redirect(to, 303)
  }

  async function notFound(c: Context): Promise<Response> {
    const visit = await visitOf(c)
    // Whoever is not logged in learns nothing of what there is.
    if (visit === null) return stranger(c)
    return shown(c, view('Page not found', 'There is no such page. The address may be mistyped, or what it led to is gone.', { status: 404 }), visit)
  }

  /** What a form of ours for strangers sent; an answer where another site's did, or it cannot be read. */
  async function formOf(c: Context): Promise<URLSearchParams | Response> {
    const form = isFromOurPage(c.req.raw) ? await readForm(c.req.raw, STRANGER_BYTES_MAX) : FOREIGN
    return form instanceof URLSearchParams ? form : unread(c, form)
  }

  function unread(c: Context, { title, message, status }: Unreadable): Promise<Response> {
    c.header('connection', 'close') // nobody is going to read the rest
    return shown(c, view(title, message, { status }), null)
  }

  function apiFor(c: Context, login: string | null, tenant: string | null = null): Api {
    return createApi({ management, peer: c.env.peer, headers: c.req.raw.headers, login, tenant })
  }

  function cookiesOf(c: Context): Cookies {
    return cookiesFor({ isEncrypted: c.env.isEncrypted })
  }
}
