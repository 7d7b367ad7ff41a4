import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pool } from 'undici'
import type { Caller, ModelCall } from '../../src/call.ts'
import { anthropicMessages } from '../../src/dialects/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { openaiChat } from '../../src/dialects/openai-chat.ts'
import { matchesPattern } from '../../src/model-pattern.ts'
import { createRoute } from '../../src/upstreams/route.ts'
import type { LoadedUpstream } from '../../src/upstreams/store.ts'

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
  ...fields,
})
function routeOf(rows: LoadedUpstream[], random?: () => number) {
  const pools: { origin: string; closed: boolean }[] = []
  const egress = {
    pool: (origin: string) => {
      const pool = { origin, closed: false }
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
    defaults: { firstByteMs: 1, idleMs: 1 },
    ...(random ? { random } : {}),
  })
  const names = (tenantId: string, model: string, dialect: Dialect = openaiChat): string[] =>
    route.candidates({ tenant: { id: tenantId } } as Caller, { model } as ModelCall, dialect).map(({ name }) => name)
  return { route, pools, names }
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
