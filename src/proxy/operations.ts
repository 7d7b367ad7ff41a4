import { hash, timingSafeEqual } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { type Reason, reasons } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Check, State } from './checks.ts'

export interface OperationsParts {
  version: string
  startedAt: number
  now: () => number
  /** Each check by name. `failed` means that a new call would be refused; `degraded` that it would not. */
  checks(): Promise<Record<string, Check>>
  /** What this process is made of, for people. */
  info(): Record<string, unknown>
  /** Of all processes; null where not every one has told its part in time, for a part of them would be wrong. */
  metrics: { text(): Promise<string | null>; contentType: string }
  adminKey: string
}

/** Routes that tell how Earthflow is. All but the metrics are public and say nothing about tenants. */
export function createOperations({ version, startedAt, now, checks, info, metrics, adminKey }: OperationsParts): Hono {
  const app = new Hono()
  const expected = hash('sha256', adminKey, 'buffer')
  const uptime = (): number => Math.floor((now() - startedAt) / 1000)
  const overall = (states: readonly State[]): State => (states.includes('failed') ? 'failed' : states.includes('degraded') ? 'degraded' : 'ok')

  app.use(async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
  })
  app.get('/health', (c) => c.json({ status: 'OK', version, uptime_seconds: uptime() }))
  app.get('/health/live', (c) => c.json({ status: 'OK' }))
  app.get('/health/ready', async (c) => {
    const found = await checks()
    const status = overall(Object.values(found).map(({ state }) => state))
    const states = Object.fromEntries(Object.entries(found).map(([name, { state }]) => [name, state]))
    return c.json({ status, checks: states }, status === 'failed' ? 503 : 200)
  })
  app.get('/health/services', async (c) => {
    const found = await checks()
    return c.json({ status: overall(Object.values(found).map(({ state }) => state)), services: found })
  })
  app.get('/info', (c) => c.json({ name: 'earthflow', version, ...info() }))
  app.get('/v1/dashboard/metrics', async (c) => {
    const given = /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? c.req.header('x-api-key') ?? ''
    if (!timingSafeEqual(hash('sha256', given, 'buffer'), expected))
      return refused(c, 'unauthenticated', 'Metrics need the administrator’s key as bearer token.')
    const text = await metrics.text()
    if (text === null) return refused(c, 'unavailable', 'Not every process has told its part in time. Ask again.', { 'retry-after': '1' })
    return c.body(text, 200, { 'content-type': metrics.contentType })
  })
  for (const path of app.routes.filter(({ method }) => method === 'GET').map((route) => route.path)) {
    app.all(path, (c) => refused(c, 'method_not_allowed', 'This path answers GET.', { allow: 'GET' }))
  }
  return app

  function refused(c: Context, reason: Reason, message: string, headers: Record<string, string> = {}): Response {
    const { code, status } = reasons[reason]
    const request_id = newId('req')
    const body = { error: code, message, context: {}, timestamp: new Date(now()).toISOString(), request_id }
    return c.json(body, status, { 'x-earthflow-request-id': request_id, ...headers })
  }
}
