/** Serves the tables of management routes. Everything every route needs (identity, scope, tenant, shapes, errors) happens here and nowhere else. */
import { Hono, type Context as HonoContext } from 'hono'
import type { z } from 'zod'
import type { Peer } from '../access/peer.ts'
import { findTenant } from '../access/tenants.ts'
import { isUnavailable, violatedUnique, within } from '../db/unavailable.ts'
import { Failure, Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { RuleError } from '../rules/rule-error.ts'
import { agentRoutes } from './agents.ts'
import { auditRoutes } from './audit.ts'
import { erasureRoutes } from './audit-erasures.ts'
import { auditExportRoutes } from './audit-export.ts'
import { auditProofRoutes } from './audit-proofs.ts'
import { authRoutes } from './auth.ts'
import { budgetRoutes } from './budgets.ts'
import { costRoutes } from './costs.ts'
import { createCredentials, may, noTenant } from './credentials.ts'
import { summaryRoutes } from './dashboard-summary.ts'
import { deliveryRoutes } from './deliveries.ts'
import { doctorRoutes } from './doctor.ts'
import { documentRoutes } from './documents/documents.ts'
import { escalationRoutes } from './escalations.ts'
import { keyRoutes } from './keys.ts'
import type { AdminParts } from './parts.ts'
import { priceRoutes } from './prices.ts'
import { quarantineRoutes } from './quarantine.ts'
import { createBodyReader, refuseUnstorable } from './read-body.ts'
import { rotationRoutes } from './rotation.ts'
import { type Actor, type Route, reachOf, type TextAnswer } from './route.ts'
import { policyRoutes } from './rules/policy.ts'
import { refuseForeignOrigin } from './same-origin.ts'
import { sessionRoutes } from './sessions.ts'
import { settingsRoutes } from './settings.ts'
import { streamOf } from './stream.ts'
import { tenantRoutes } from './tenants.ts'
import { upstreamRoutes } from './upstreams.ts'
import { userRoutes } from './users.ts'
import { webhookRoutes } from './webhooks.ts'

export interface Admin {
  /** Every route there is, for the OpenAPI document and for tests. */
  routes: readonly Route[]
  /** Answers any request; a path no route has is 404. `peer` is who asks, as far as the connection tells. */
  fetch(request: Request, peer?: Peer): Promise<Response>
}

type Context = HonoContext<{ Bindings: { peer: Peer } }>

/** How long a management call may take once its body has been read. */
const RUN_MS = 15_000
const RETRY_AFTER_SECONDS = 2
const TENANT_HEADER = 'x-earthflow-tenant'
/** What a message or a name may take of an error's answer: a client may send names as long as its body. */
const MESSAGE_CHARACTERS_MAX = 300
const NOBODY: Peer = { address: '', certificate: null }

export function createAdmin(parts: AdminParts): Admin {
  const resources = [
    ...tenantRoutes(parts),
    ...keyRoutes(parts),
    ...sessionRoutes(parts),
    ...userRoutes(parts),
    ...rotationRoutes(parts),
    ...settingsRoutes(parts),
    ...doctorRoutes(parts),
    ...authRoutes(parts),
    ...agentRoutes(parts),
    ...quarantineRoutes(parts),
    ...policyRoutes(parts),
    ...upstreamRoutes(parts),
    ...priceRoutes(parts),
    ...auditRoutes(parts),
    ...erasureRoutes(parts),
    ...auditExportRoutes(parts),
    ...auditProofRoutes(parts),
    ...budgetRoutes(parts),
    ...costRoutes(parts),
    ...summaryRoutes(parts),
    ...webhookRoutes(parts),
    ...deliveryRoutes(parts),
    ...escalationRoutes(parts),
  ]
  const routes = [...resources, ...documentRoutes(resources, parts)]
  const identify = createCredentials(parts)
  const readBody = createBodyReader()
  const app = new Hono<{ Bindings: { peer: Peer } }>()

  for (const [path, ofPath] of byPath(routes)) {
    const here = path.replaceAll(/\{(\w+)\}/g, ':$1')
    for (const route of ofPath) app.on(route.method, here, (c) => answer(c, (requestId) => serve(route, c, requestId)))
    const allow = ofPath.map(({ method }) => method).join(', ')
    app.all(here, (c) =>
      answer(c, () => Promise.reject(new Refusal('method_not_allowed', `This path answers ${allow}.`, { headers: ['allow', allow], context: { allow } }))),
    )
  }
  app.notFound((c) => answer(c, () => Promise.reject(new Refusal('not_found', 'There is no such path.'))))

  return {
    routes,
    fetch: async (request, peer = NOBODY) => app.fetch(request, { peer }),
  }

  async function serve(route: Route, c: Context, requestId: string): Promise<Response> {
    const actor = await authorise(route, c)
    const params = parse(route.params, c.req.param(), 'path')
    const search = searchOf(c)
    const tenantId = await tenantOf(route, actor, c, search)
    const query = parse(route.query, search, 'query')
    const body = route.body === null ? undefined : parse(route.body, await readBody(c.req.raw, route.bodyBytesMax), 'body')
    // What is asked about calls is answered with those that have just ended.
    if (route.method === 'GET' && actor) await parts.recorded()
    const result = await within(RUN_MS, route.run({ actor: actor as Actor, tenantId, params, query, body, requestId, peer: c.env.peer }))
    if (route.cookie) c.header('set-cookie', route.cookie(result))
    if (route.media.length > 0) return tell(result as TextAnswer, c, requestId)
    return route.answer === null ? c.body(null, 204) : c.json(result as never, route.status as 200)
  }

  async function tell({ contentType, headers = {}, text }: TextAnswer, c: Context, requestId: string): Promise<Response> {
    const report = (error: unknown): void => parts.report(error, { requestId, method: c.req.method, path: c.req.path })
    const whole = typeof text === 'string' || c.req.method === 'HEAD'
    return c.body(whole ? String(text) : await streamOf(text, report), 200, { 'content-type': contentType, 'x-content-type-options': 'nosniff', ...headers })
  }

  /** Null only for public routes. */
  async function authorise(route: Route, c: Context): Promise<Actor | null> {
    const { raw } = c.req
    if (route.scope === 'public') {
      if (route.cookie) refuseForeignOrigin(raw, { ambient: 'none', allowed: parts.allowedOrigins })
      return null
    }
    const identified = await identify(raw.headers, c.env.peer)
    if (identified instanceof Refusal) throw identified
    const { actor, ambient } = identified
    if (ambient !== 'none') refuseForeignOrigin(raw, { ambient, allowed: parts.allowedOrigins })
    if (!may(actor, route.scope)) throw new Refusal('forbidden', `This needs the scope ${route.scope}.`, { context: { scope: route.scope } })
    return actor
  }

  async function tenantOf({ tenant: need }: Route, actor: Actor | null, c: Context, search: Record<string, unknown>): Promise<string | null> {
    if (actor === null) return null
    const { tenant_id: inQuery } = search
    const own = reachOf(actor)
    // Who stands for the installation may name a tenant in every call, also where none is asked for.
    if (need === 'required' || need === 'optional' || own === null) delete search.tenant_id
    if (need === 'none') return null
    if (need === 'path') {
      const id = c.req.param('id') ?? ''
      if (own !== null && own !== id) throw noTenant()
      return id
    }
    const inHeader = c.req.header(TENANT_HEADER)
    if (typeof inQuery === 'string' && inHeader !== undefined && inQuery !== inHeader) {
      throw new Refusal('invalid_request', 'tenant_id and X-Earthflow-Tenant name different tenants.', { context: { field: 'tenant_id' } })
    }
    const named = typeof inQuery === 'string' ? inQuery : inHeader
    if (own !== null) {
      if (named !== undefined && named !== own) throw noTenant()
      return own
    }
    if (named === undefined) {
      if (need === 'optional') return null
      throw new Refusal('invalid_request', 'Name the tenant, by ?tenant_id= or the header X-Earthflow-Tenant.', { context: { field: 'tenant_id' } })
    }
    if (!(await within(RUN_MS, findTenant(parts.db, named)))) throw noTenant()
    return named
  }

  async function answer(c: Context, work: (requestId: string) => Promise<Response>): Promise<Response> {
    const requestId = newId('req')
    c.header('x-earthflow-request-id', requestId)
    c.header('cache-control', 'no-store')
    try {
      return await work(requestId)
    } catch (error) {
      const refusal = refusalFor(error)
      if (refusal.reason === 'internal' || error instanceof Failure) {
        parts.report(error, { requestId, method: c.req.method, path: c.req.path.slice(0, MESSAGE_CHARACTERS_MAX) })
      }
      for (let i = 0; i < refusal.headers.length; i += 2) c.header(refusal.headers[i], refusal.headers[i + 1])
      const { code, message, context } = refusal
      const body = { error: code, message, context, timestamp: new Date(parts.now()).toISOString(), request_id: requestId }
      return c.json(body, refusal.status as 400)
    }
  }
}

/** Paths without parameters first: `/v1/rules/presets` is not the rule "presets". */
function byPath(routes: readonly Route[]): [string, Route[]][] {
  const paths = Map.groupBy(routes, ({ path }) => path as string)
  const parameters = (path: string): number => path.split('{').length
  return [...paths].sort(([a], [b]) => parameters(a) - parameters(b))
}

function searchOf(c: Context): Record<string, unknown> {
  const search: Record<string, unknown> = {}
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (values.length > 1) throw new Refusal('invalid_request', 'A query parameter is repeated.', { context: { field: cut(name) } })
    search[name] = values[0]
  }
  refuseUnstorable(search) // before anything is looked up by it
  return search
}

/** Throws a Refusal that names the first wrong member and lists them all. */
function parse(schema: z.ZodObject | z.ZodType | null, value: unknown, what: 'path' | 'query' | 'body'): unknown {
  if (schema === null) {
    const [name] = Object.keys(value as object)
    if (what === 'query' && name !== undefined) {
      throw new Refusal('invalid_request', `Unknown query parameter "${cut(name)}".`, { context: { field: cut(name) } })
    }
    return value
  }
  refuseUnstorable(value)
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.slice(0, PROBLEMS_MAX).map((issue) => problemOf(issue, []))
  const [first] = problems
  if (what === 'path') throw new Refusal('not_found', 'There is no such path.')
  throw new Refusal('invalid_request', first.field === '' ? first.message : `${first.field}: ${first.message}`, { context: { field: first.field, problems } })
}

const PROBLEMS_MAX = 20

interface Problem {
  field: string
  message: string
}

/** Of a union, the branch that got furthest: it is what the client meant. */
function problemOf(issue: z.core.$ZodIssue, before: readonly PropertyKey[]): Problem {
  const path = [...before, ...issue.path]
  if (issue.code === 'invalid_union') {
    const branches = issue.errors.map((issues) => issues[0]).filter((one) => one !== undefined)
    const [best] = branches.sort((a, b) => b.path.length - a.path.length)
    if (best && best.path.length > 0) return problemOf(best, path)
  }
  if (issue.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '')
  return { field: cut(path.map(String).join('.')), message: issue.code === 'unrecognized_keys' ? 'Unknown field.' : cut(issue.message) }
}

const cut = (text: string): string => (text.length <= MESSAGE_CHARACTERS_MAX ? text : `${text.slice(0, MESSAGE_CHARACTERS_MAX)}…`)

const unavailable = (): Refusal =>
  new Refusal('unavailable', 'The database cannot be reached at the moment.', { headers: ['retry-after', String(RETRY_AFTER_SECONDS)] })

function refusalFor(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof RuleError) return new Refusal(error.reason, error.message, { context: { field: error.path } })
  if (error instanceof Failure && error.reason !== 'unavailable') return new Refusal(error.reason, 'Earthflow could not do this.')
  if (error instanceof Failure || isUnavailable(error)) return unavailable()
  if (violatedUnique(error) !== undefined) return new Refusal('conflict', 'There is already one of that name.')
  return new Refusal('internal', 'Earthflow could not do this. The request id names the entry in its log.')
}
