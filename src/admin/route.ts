/** What a management route is. The tables of routes in this folder are made of these; `app.ts` serves them and the OpenAPI document is read off them. */
import type { z } from 'zod'
import type { Peer } from '../access/peer.ts'
import type { Person } from '../access/person.ts'
import type { Scope } from '../access/scopes.ts'
import type { Caller } from '../call.ts'

/** Who asks: the administrator's key of the installation, a tenant's key, or somebody who has logged in. */
export type Actor = { kind: 'admin' } | { kind: 'key'; caller: Caller } | { kind: 'person'; person: Person }

/** `any` is everybody whom Earthflow knows; `public` needs no key. There is no default: a route without a scope does not compile. */
export type RouteScope = Scope | 'any' | 'public'

/**
 * Which tenant a route is about. Who belongs to a tenant always stands for it. `required`: everybody else names one (`?tenant_id=` or
 * X-Earthflow-Tenant). `optional`: without a name every tenant, or the installation, is meant. `path`: it is the `{id}` of the path. `none`: the route is
 * not about one tenant.
 */
export type TenantNeed = 'required' | 'optional' | 'path' | 'none'

export interface Asked<Params, Query, Body, Need extends TenantNeed = TenantNeed> {
  actor: Actor
  tenantId: Need extends 'required' | 'path' ? string : Need extends 'none' ? null : string | null
  params: Params
  query: Query
  body: Body
  requestId: string
  peer: Peer
}

/** An answer that is not JSON: whole, or piece by piece as its reader takes it. */
export interface TextAnswer {
  contentType: string
  headers?: Readonly<Record<string, string>>
  text: string | AsyncIterable<string>
}

type Methods = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

interface Spec<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType, Answer extends z.ZodType | null, Need extends TenantNeed> {
  method: Methods
  /** As OpenAPI writes it: `/v1/rules/{id}`. */
  path: `/${string}`
  scope: RouteScope
  tenant: Need
  summary: string
  params?: Params
  query?: Query
  body?: Body
  /** Where a body may be larger than other bodies may. */
  bodyBytesMax?: number
  /** Null: an empty answer with status 204. */
  answer: Answer
  status?: 200 | 201
  /** The cookie that the answer sets. */
  cookie?(answer: Answer extends z.ZodType ? z.input<Answer> : undefined): string
  /** Throws a Refusal for an expected no. */
  run(asked: Asked<z.output<Params>, z.output<Query>, z.output<Body>, Need>): Promise<Answer extends z.ZodType ? z.input<Answer> : void>
}

/** A route as the table holds it, its types forgotten: what arrives in `run` has been through the schemas. */
export interface Route {
  readonly method: Methods
  readonly path: `/${string}`
  readonly scope: RouteScope
  readonly tenant: TenantNeed
  readonly summary: string
  readonly params: z.ZodObject | null
  readonly query: z.ZodObject | null
  readonly body: z.ZodType | null
  readonly bodyBytesMax?: number
  readonly answer: z.ZodType | null
  /** The media types of answers that are not JSON. */
  readonly media: readonly string[]
  readonly status: 200 | 201 | 204
  cookie?(answer: unknown): string
  run(asked: Asked<unknown, unknown, unknown>): Promise<unknown>
}

type Nothing = z.ZodObject<Record<never, never>>

export function route<
  Need extends TenantNeed,
  Answer extends z.ZodType | null,
  Params extends z.ZodObject = Nothing,
  Query extends z.ZodObject = Nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(spec: Spec<Params, Query, Body, Answer, Need>): Route {
  const { params = null, query = null, body = null, answer, status } = spec
  // The one place where the types of a route are forgotten. `app.ts` hands `run` only what these very schemas let through.
  const { run, cookie } = spec as unknown as Pick<Route, 'run' | 'cookie'>
  return { ...spec, params, query, body, answer, media: [], status: answer === null ? 204 : (status ?? 200), run, ...(cookie && { cookie }) }
}

interface TextSpec<Query extends z.ZodObject, Need extends TenantNeed> {
  path: `/${string}`
  scope: RouteScope
  tenant: Need
  summary: string
  query?: Query
  media: readonly string[]
  /** Throws a Refusal for an expected no. */
  run(asked: Asked<unknown, z.output<Query>, undefined, Need>): Promise<TextAnswer>
}

/** A route that is asked by GET and answers with something else than JSON. */
export function textRoute<Need extends TenantNeed, Query extends z.ZodObject = Nothing>(spec: TextSpec<Query, Need>): Route {
  const run = spec.run.bind(spec) as unknown as Route['run']
  return { ...spec, method: 'GET', params: null, query: spec.query ?? null, body: null, answer: null, status: 200, run }
}

/** The name under which an actor stands in the audit log and in policy versions. */
export const nameOf = (actor: Actor): string => (actor.kind === 'admin' ? 'admin' : actor.kind === 'key' ? actor.caller.keyPrefix : actor.person.email)

/** Whose affairs an actor may see; null: everybody's. */
export const reachOf = (actor: Actor): string | null => (actor.kind === 'admin' ? null : actor.kind === 'key' ? actor.caller.tenant.id : actor.person.tenantId)
