import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDemands } from '../../src/limits/demands.ts'
import { callBy, callerWith } from './counters.ts'

const demands = createDemands({ windowSeconds: 60, burstFactor: 1.5 })
const all = { requestsPerMinute: 10, requestsPerDay: 20, tokensPerMinute: 30, tokensPerDay: 40, concurrency: 5 }

test('a call draws on five limits of each of its subjects, all counted under the tag of its tenant', () => {
  const caller = callerWith({ tenantId: 't_1', tenant: all, agentId: 'ag_1', each: { key: all, agent: all, user: all, models: { 'gpt-*': all, 'o*': all } } })
  const { limits, reservation } = demands.of(callBy(caller, { id: 'req_1', user: 'ann', models: ['gpt-5', 'gpt-6'] }))
  assert.deepEqual([...new Set(limits.map(({ subject }) => subject))], ['tenant', 'key', 'agent', 'user', 'model'])
  assert.equal(limits.length, 25)
  assert.equal(new Set(limits.map(({ key }) => key)).size, 25)
  for (const { key } of limits) assert.ok(key.startsWith('ef:{t_1}:'), key)
  assert.equal(reservation, 'ef:{t_1}:call:req_1')
  assert.deepEqual(
    limits.slice(0, 5).map(({ key, capacity }) => [key, capacity]),
    [
      ['ef:{t_1}:tenant:requests:minute', 15],
      ['ef:{t_1}:tenant:requests:day', 20],
      ['ef:{t_1}:tenant:tokens:minute', 45],
      ['ef:{t_1}:tenant:tokens:day', 40],
      ['ef:{t_1}:tenant:concurrency', 5],
    ],
  )
})

test('a key that took the place of others draws on the limits of the first of them, so that both together have one share', () => {
  const first = callerWith({ tenantId: 't_1', each: { key: all } })
  const successor = { ...first, keyPrefix: 'ef_live_newestxx', line: [first.keyPrefix, 'ef_live_secondxx', 'ef_live_newestxx'] }
  assert.deepEqual(demands.own(successor), demands.own(first))
  assert.deepEqual(demands.own({ ...first, line: successor.line }), demands.own(first), 'the first one goes on where it was')
})

test('what nobody limits is not counted, and a call of the plainest tenant allocates no limits', () => {
  const caller = callerWith({ each: { user: all, models: { 'gpt-*': all } } })
  const demand = demands.of(callBy(caller, { input: 100, models: ['claude-5'] }))
  assert.deepEqual([demand.limits.length, demand.tokens, demand.reservation], [1, 0, null])
  assert.equal(demands.of(callBy(caller)).limits, demand.limits)
})

test('names that callers give stand nowhere in the keys, and differ from tenant to tenant', () => {
  const keysOf = (tenantId: string) => {
    const caller = callerWith({ tenantId, each: { user: { requestsPerDay: 1 }, models: { 'secret-model-*': { requestsPerDay: 1 } } } })
    return demands.of(callBy(caller, { user: 'jane.doe@example.com', models: ['secret-model-1'] })).limits.map(({ key }) => key)
  }
  const keys = keysOf('t_1')
  assert.equal(keys.length, 3)
  assert.doesNotMatch(keys.join(), /jane|doe|example|secret/)
  const names = (list: string[]) => list.map((key) => key.split(':')[3])
  assert.notDeepEqual(names(keysOf('t_2')).slice(1), names(keys).slice(1))
  assert.deepEqual(keysOf('t_1'), keys)
})

test('names cannot meet in a key, whatever stands in them', () => {
  const keyOf = (user: string) => demands.of(callBy(callerWith({ tenantId: 't', each: { user: { requestsPerDay: 1 } } }), { user })).limits[1]!.key
  const names = ['a', 'a:requests', '', '{t}', 'a\n', 'A', ' a', '__proto__']
  assert.equal(new Set(names.map(keyOf)).size, names.length)
})

test('another spelling of a model draws on the same limit', () => {
  const caller = callerWith({ tenantId: 't_1', each: { models: { 'gpt-4*': { requestsPerDay: 1 }, 'Gemini-3-pro': { requestsPerDay: 1 } } } })
  const keysOf = (model: string) => demands.of(callBy(caller, { models: [model] })).limits.map(({ key }) => key)
  const [, ofGpt] = keysOf('gpt-4o')
  for (const spelled of ['GPT-4o', 'gPt-4O', 'models/gpt-4o']) assert.equal(keysOf(spelled)[1], ofGpt, spelled)
  assert.equal(keysOf('models/gemini-3-pro').length, 2)
  assert.equal(keysOf('o4').length, 1)
})

test('a guess of the output is cut to what the smallest limit holds, a declared one is not', () => {
  const caller = callerWith({ tenant: { tokensPerMinute: 100 }, key: { tokensPerDay: 140 } })
  const tokens = (input: number, output: number, declared: boolean) => demands.of(callBy(caller, { input, output, declared })).tokens
  assert.equal(tokens(40, 4096, false), 140)
  assert.equal(tokens(40, 50, false), 90)
  assert.equal(tokens(139, 4096, false), 140)
  assert.equal(tokens(140, 4096, false), 141, 'an answer has a token at least')
  assert.equal(tokens(140, 0, false), 140)
  assert.equal(tokens(500, 4096, false), 501)
  assert.equal(tokens(40, 4096, true), 4136)
  assert.equal(tokens(Number.NaN, -5, true), 0)
  assert.equal(tokens(0.2, 1.5, true), 3)
})
