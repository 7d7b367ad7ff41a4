import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from 'undici'
import type { ModelCall, Session, Tenant } from '../../src/call.ts'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import type { EgressPoolOptions } from '../../src/egress/dispatcher.ts'
import { Refusal } from '../../src/errors.ts'
import { matchesPattern } from '../../src/model-pattern.ts'
import { createRoute, type RouteOptions } from '../../src/upstreams/route.ts'
import type { LoadedUpstream } from '../../src/upstreams/store.ts'
import type { Upstream } from '../../src/upstreams/upstream.ts'
import { tenantNamed } from '../harness/nouns.ts'

const row = (fields: Partial<LoadedUpstream>): LoadedUpstream => ({
  id: fields.name ?? 'up',
  name: 'up',
  tenantId: null,
  dialects: ['openai-chat'],
  baseUrl: 'https://api.example/v1',
  credential: null,
  credentialMode: 'stored',
  models: ['*'],
  priority: 0,
  weight: 1,
  region: null,
  timeouts: {},
  prices: [],
  ...fields,
})
interface Asked {
  models?: string[]
  regions?: string[] | null
  headers?: Record<string, string>
}

function endpointAt(path: string, method = 'POST', headers: Record<string, string> = {}): Endpoint {
  const endpoint = endpointOf(method, path, headers)
  assert.ok('kind' in endpoint, path)
  return endpoint
}

function routeOf(rows: LoadedUpstream[], random?: () => number, more: Partial<RouteOptions> = {}) {
  const pools: { origin: string; closed: boolean; options: EgressPoolOptions | undefined }[] = []
  const egress = {
    pool: (origin: string, options?: EgressPoolOptions) => {
      const pool = { origin, closed: false, options }
      pools.push(pool)
      return {
        close: async () => {
          pool.closed = true
        },
        destroy: async () => {},
        stats: { queued: 0 },
      } as unknown as Pool
    },
    check: async () => {},
  }
  const route = createRoute({
    load: async () => rows,
    egress: egress as never,
    sandbox: null,
    defaults: { firstByteMs: 1, idleMs: 1, totalMs: 1, connectionsMax: 7 },
    ...(random ? { random } : {}),
    ...more,
  })
  const ask = (tenant: Tenant, models: string[], endpoint: Endpoint, session: Session | null = null): readonly Upstream[] | Refusal =>
    route.candidates({ tenant, session }, { models } as unknown as ModelCall, endpoint)
  const found = (...asked: Parameters<typeof ask>): readonly Upstream[] => {
    const answer = ask(...asked)
    assert.ok(!(answer instanceof Refusal))
    return answer
  }
  const names = (tenantId: string, model: string, dialect: Dialect = openaiChat): string[] =>
    found(tenantNamed(tenantId), [model], endpointAt(dialect.paths[0])).map(({ name }) => name)
  /** For any request; a tenant in these regions, if any are given. */
  const serving = (method: string, path: string, { models = [], regions = null, headers = {} }: Asked = {}): string[] =>
    found(tenantNamed('t', { allowedRegions: regions }), models, endpointAt(path, method, headers)).map(({ name }) => name)
  return { route, pools, names, serving, ask, found }
}

test('a call goes to whom its tenant, dialect and model allow, highest priority first', async () => {
  const { route, names } = routeOf([
    row({ name: 'general', models: ['gpt-*'] }),
    row({ name: 'mine', tenantId: 'a', models: ['gpt-*'], priority: 5 }),
    row({ name: 'claude', dialects: ['anthropic-messages'] }),
    row({ name: 'exact', models: ['o9'] }),
  ])
  await route.refresh()
  assert.deepEqual(names('a', 'gpt-5'), ['mine', 'general'])
  assert.deepEqual(names('b', 'gpt-5'), ['general'])
  assert.deepEqual(names('b', 'o9'), ['exact'])
  assert.deepEqual(names('b', 'gpt-5', anthropicMessages), ['claude'])
  assert.deepEqual(names('b', 'unknown'), [])
})

test('a path that no dialect describes goes to an upstream of its vendor, each time to the same, and only there', async () => {
  const { route, serving } = routeOf([
    row({ name: 'narrow', models: ['gpt-*'], priority: 9 }),
    row({ name: 'one', priority: 1 }),
    row({ name: 'two', priority: 1, dialects: ['openai-chat'] }),
    row({ name: 'claude', dialects: ['anthropic-messages'] }),
  ])
  await route.refresh()
  assert.deepEqual(serving('GET', '/v1/files/f1'), ['one'])
  // A job names the file it learns from, and a file may name models: they belong to one provider, whatever they say.
  assert.deepEqual(serving('POST', '/v1/fine_tuning/jobs', { models: ['gpt-5'] }), ['one'])
  assert.deepEqual(serving('POST', '/v1/files', { models: ['gpt-5'] }), ['one'])
  assert.deepEqual(serving('GET', '/v1/files', { headers: { 'anthropic-version': '2023-06-01' } }), ['claude'])
  assert.deepEqual(serving('GET', '/v1beta/files'), [])
})

test('a call that leaves the model to its provider goes to those who serve every model, whatever the priority of others', async () => {
  const { route, serving } = routeOf([row({ name: 'narrow', models: ['gpt-*'], priority: 100 }), row({ name: 'all', priority: 5 })])
  await route.refresh()
  assert.deepEqual(serving('POST', '/v1/chat/completions'), ['all'])
  assert.deepEqual(serving('POST', '/v1/chat/completions', { models: ['gpt-5'] }), ['narrow', 'all'])
})

test('every model a batch names must be served', async () => {
  const { route, serving } = routeOf([row({ name: 'gpt', models: ['gpt-*'] }), row({ name: 'all' })])
  await route.refresh()
  assert.deepEqual(serving('POST', '/v1/files', { models: ['gpt-5', 'o9'] }), ['all'])
})

test('/u/{upstream} means the upstream of that name, the tenant’s own before the installation’s, and no other', async () => {
  const { route, serving } = routeOf([
    row({ id: '1', name: 'some', models: ['gpt-*'] }),
    row({ id: '2', name: 'other' }),
    row({ id: '3', name: 'other', tenantId: 't' }),
    row({ id: '4', name: 'foreign', tenantId: 'x' }),
  ])
  await route.refresh()
  assert.deepEqual(serving('POST', '/u/some/chat/completions', { models: ['gpt-5'] }), ['some'])
  assert.deepEqual(serving('POST', '/u/some/chat/completions', { models: ['o9'] }), [])
  assert.equal(serving('POST', '/u/other/chat/completions', { models: ['gpt-5'] }).length, 1)
  assert.deepEqual(serving('POST', '/u/foreign/chat/completions', { models: ['gpt-5'] }), [])
  assert.deepEqual(serving('POST', '/u/nobody/v1/files'), [])
})

test('Azure’s paths go to upstreams that can be Azure, if there are any', async () => {
  const azure = row({ name: 'azure', baseUrl: 'https://x.openai.azure.com' })
  const { route, serving } = routeOf([row({ name: 'openai', priority: 5 }), azure])
  await route.refresh()
  const path = '/openai/deployments/gpt/chat/completions'
  assert.deepEqual(serving('POST', path, { models: ['gpt'] }), ['azure'])
  const alone = routeOf([row({ name: 'gateway' })])
  await alone.route.refresh()
  assert.deepEqual(alone.serving('POST', path, { models: ['gpt'] }), ['gateway'])
})

test('a tenant that is bound to regions is served only by upstreams that lie in one of them; where only others would serve it, that is the reason', async () => {
  const { route, serving, ask } = routeOf([row({ name: 'eu', region: 'eu' }), row({ name: 'us', region: 'us' }), row({ name: 'somewhere' })])
  await route.refresh()
  const names = (regions: string[] | null) => serving('POST', '/v1/chat/completions', { models: ['m'], regions }).toSorted()
  assert.deepEqual(names(null), ['eu', 'somewhere', 'us'])
  assert.deepEqual(names(['eu']), ['eu'])
  assert.deepEqual(names(['eu', 'us']), ['eu', 'us'])
  for (const twice of [1, 2]) {
    const answer = ask(tenantNamed('t', { allowedRegions: [] }), ['m'], endpointAt('/v1/chat/completions'))
    assert.ok(answer instanceof Refusal && answer.reason === 'locality' && answer.status === 403, String(twice))
    assert.doesNotMatch(answer.message, /api\.example/)
  }
  // A call that nobody would serve anyway has another reason.
  assert.deepEqual(ask(tenantNamed('t', { allowedRegions: [] }), ['m'], endpointAt('/v1/messages')), [])
})

test('EARTHFLOW_LOCALITY binds every tenant to its regions, beside the tenant’s own; the sandbox lies in none and is here', async () => {
  const rows = [row({ name: 'eu', region: 'eu' }), row({ name: 'us', region: 'us' }), row({ name: 'somewhere' }), row({ name: 'sandbox', baseUrl: 'sandbox:' })]
  const { route, serving, ask } = routeOf(rows, undefined, { regions: ['eu', 'ch'], sandbox: () => ({ stats: { queued: 0 } }) as unknown as Pool })
  await route.refresh()
  assert.deepEqual(serving('POST', '/v1/chat/completions', { models: ['m'] }).toSorted(), ['eu', 'sandbox'])
  assert.deepEqual(serving('POST', '/v1/chat/completions', { models: ['m'], regions: ['us', 'eu'] }), ['eu'])
  assert.ok(ask(tenantNamed('t', { allowedRegions: ['us'] }), ['m'], endpointAt('/v1/chat/completions')) instanceof Refusal)
  const named = ask(tenantNamed('t'), [], endpointAt('/u/somewhere/v1/models', 'GET'))
  assert.ok(named instanceof Refusal && named.reason === 'locality')
})

test('a session that uses stored credentials only is served by no upstream that is sent the caller’s own, and its answer is nobody else’s', async () => {
  const { route, ask } = routeOf([
    row({ name: 'stored' }),
    row({ name: 'own', credentialMode: 'passthrough' }),
    row({ name: 'mine', tenantId: 'b', credentialMode: 'passthrough' }),
  ])
  await route.refresh()
  const session = { storedOnly: true } as Session
  const names = (storedOnly: boolean): string[] => {
    const answer = ask(tenantNamed('t'), ['m'], endpointAt('/v1/chat/completions'), storedOnly ? session : null)
    return answer instanceof Refusal ? [answer.reason] : answer.map(({ name }) => name).toSorted()
  }
  assert.deepEqual([names(false), names(true), names(false), names(true)], [['own', 'stored'], ['stored'], ['own', 'stored'], ['stored']])
  const only = ask(tenantNamed('t'), [], endpointAt('/u/own/v1/models', 'GET'), session)
  assert.ok(only instanceof Refusal && only.reason === 'forbidden')
})

test('of several models the dearest is the price, and one without a price leaves none', async () => {
  const prices = [
    { model: 'mini-*', input: 1, output: 9 },
    { model: 'big', input: 5, output: 2 },
  ]
  const { route, found } = routeOf([row({ prices })])
  await route.refresh()
  const [upstream] = found(tenantNamed('t'), ['big'], endpointAt('/v1/chat/completions'))
  assert.deepEqual(upstream.priceOf(['big']), { input: 5, output: 2 })
  assert.deepEqual(upstream.priceOf(['big', 'mini-1']), { input: 5, output: 9 })
  assert.equal(upstream.priceOf(['big', 'unknown']), null)
  assert.equal(upstream.priceOf([]), null)
  assert.equal(upstream.costOf(['big', 'mini-1'], { input_tokens: 1, output_tokens: 0 }, 0), 5_000)
  assert.equal(upstream.costOf(['big', 'unknown'], { input_tokens: 1, output_tokens: 0 }, 0), null)
})

test('what no row prices costs what the catalogue says of the upstream’s address and vendor, at the time of the call', async () => {
  const asked: unknown[] = []
  const catalogue = {
    priceOf(...question: unknown[]) {
      asked.push(question)
      return { input: 3, output: 4 }
    },
  }
  const { route, found } = routeOf([row({ prices: [{ model: 'own', input: 0, output: 0 }], dialects: ['anthropic-messages'] })], undefined, {
    catalogue,
    now: () => 7,
  })
  await route.refresh()
  const [upstream] = found(tenantNamed('t'), ['m'], endpointAt('/v1/messages'))
  assert.equal(upstream.costOf(['own'], { input_tokens: 9, output_tokens: 9 }, 1), 0)
  assert.deepEqual(upstream.priceOf(['m']), { input: 3, output: 4 })
  assert.equal(upstream.costOf(['m'], { input_tokens: 1, output_tokens: 1 }, 99), 7_000)
  const where = { vendor: 'anthropic', baseUrl: 'https://api.example/v1' }
  assert.deepEqual(asked, [
    ['m', where, 7],
    ['m', where, 99],
  ])
})

test('among equals, weight decides how often each comes first', async () => {
  let state = 1
  const random = (): number => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
  const { route, names } = routeOf(
    [row({ name: 'three', weight: 3 }), row({ name: 'one', weight: 1 }), row({ name: 'later', priority: -1, weight: 1000 })],
    random,
  )
  await route.refresh()
  const first = Array.from({ length: 4000 }, () => names('t', 'm'))
  assert.ok(first.every((order) => order.length === 3 && order[2] === 'later'))
  const share = first.filter(([name]) => name === 'three').length / first.length
  assert.ok(share > 0.72 && share < 0.78, String(share))
})

test('refreshing keeps the connections of what stayed the same; the others stay for the calls that are on their way, and are closed then', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const rows = [row({ name: 'stays' }), row({ name: 'moves' }), row({ name: 'goes' })]
  const { route, pools } = routeOf(rows)
  await route.refresh()
  rows.splice(1, 2, row({ name: 'moves', baseUrl: 'https://other.example/v1' }))
  await route.refresh()
  assert.ok(pools.every(({ closed }) => !closed))
  t.mock.timers.tick(10_000)
  assert.deepEqual(
    pools.map(({ origin, closed }) => [origin, closed]),
    [
      ['https://api.example', false],
      ['https://api.example', true],
      ['https://api.example', true],
      ['https://other.example', false],
    ],
  )
})

test('an upstream is current until its row changes in any way, or goes; how it stands stays known while its address does', async () => {
  const rows = [row({ name: 'a', region: 'eu' }), row({ name: 'b' })]
  const { route, found } = routeOf(rows, () => 0.5)
  await route.refresh()
  const both = () => found(tenantNamed('t'), ['m'], endpointAt('/v1/chat/completions')).toSorted((x, y) => x.name.localeCompare(y.name))
  const [a, b] = both() as [Upstream, Upstream]
  const current = () => [a.isCurrent(), b.isCurrent()]
  await route.refresh()
  assert.deepEqual([current(), both()[0] === a], [[true, true], true])
  rows[0] = row({ name: 'a', region: 'us' })
  await route.refresh()
  assert.deepEqual([current(), both()[0]?.standing === a.standing], [[false, true], true])
  rows[0] = row({ name: 'a', region: 'us', credential: 'another' })
  await route.refresh()
  assert.equal(both()[0]?.standing, a.standing)
  rows[0] = row({ name: 'a', region: 'us', baseUrl: 'https://elsewhere.example/v1' })
  await route.refresh()
  assert.notEqual(both()[0]?.standing, a.standing, 'of another address nothing is known')
  rows.length = 1
  await route.refresh()
  assert.deepEqual([current(), route.standingOf('b'), route.standingOf('a')], [[false, false], undefined, both()[0]?.standing])
})

test('how long an attempt may take in all, and how many connections there may be, is as the row or else the settings say; the sandbox has no breaker', async () => {
  const rows = [row({ name: 'a' }), row({ name: 'b', timeouts: { total_seconds: 3 } }), row({ name: 'sandbox', baseUrl: 'sandbox:' })]
  const { route, found, pools } = routeOf(rows, () => 0.5, { sandbox: () => ({ stats: { queued: 0 } }) as unknown as Pool })
  await route.refresh()
  const all = found(tenantNamed('t'), ['m'], endpointAt('/v1/chat/completions')).toSorted((x, y) => x.name.localeCompare(y.name))
  assert.deepEqual(
    all.map(({ totalMs }) => totalMs),
    [1, 3_000, 1],
  )
  assert.ok(pools.every(({ options }) => options?.connections === 7))
  for (const { standing } of all)
    for (let i = 0; i < 30; i++) {
      const passage = standing.enter()
      passage?.saw({ status: null, error: 'ECONNREFUSED' })
      passage?.leave(null)
    }
  assert.deepEqual(
    all.map(({ standing }) => standing.state),
    ['open', 'open', 'closed'],
  )
  assert.deepEqual(
    [...route.left()],
    [
      ['a', 1],
      ['b', 1],
      ['sandbox', 0],
    ],
  )
})

test('in a model pattern * stands for anything, also nothing, and everything else for itself', () => {
  const cases: [string, string, boolean][] = [
    ['*', '', true],
    ['gpt-*', 'gpt-5', true],
    ['gpt-*', 'gpt-', true],
    ['gpt-*', 'xgpt-5', false],
    ['*-mini', 'gpt-5-mini', true],
    ['a*b*c', 'a--b--c', true],
    ['a*b*c', 'acb', false],
    ['aa*aa', 'aaa', false],
    ['gpt.5', 'gpt-5', false],
    ['m', 'm', true],
    ['m', 'M', false],
  ]
  for (const [pattern, name, expected] of cases) assert.equal(matchesPattern(pattern, name), expected, `${pattern} ${name}`)
})
