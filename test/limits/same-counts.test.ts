/** Memory and Redis count alike: whatever calls do, both let in the same and have the same left. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { newId } from '../../src/ids.ts'
import type { Hold, Limits } from '../../src/limits/limits.ts'
import { callBy, callerWith, connectTestRedis, limitsOn, withoutRedis } from './counters.ts'

/** So little flows in while the test runs that no decision hangs on it. */
const limit = fc.option(fc.integer({ min: 1, max: 12 }), { nil: null })
const someLimits = fc.record({ requestsPerMinute: limit, requestsPerDay: limit, tokensPerMinute: limit, tokensPerDay: limit, concurrency: limit })
const tenantLimits = fc.record({ requestsPerMinute: fc.integer({ min: 1, max: 12 }), requestsPerDay: limit, tokensPerDay: limit, concurrency: limit })

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      input: fc.integer({ min: 0, max: 8 }),
      output: fc.integer({ min: 0, max: 8 }),
      declared: fc.boolean(),
      user: fc.constantFrom(null, 'ann', 'bob'),
      models: fc.subarray(['gpt-5', 'claude-5']),
      agent: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'giveBack' as const), which: fc.nat(30), used: fc.integer({ min: 0, max: 20 }) }),
  },
)

test('random calls on random limits', { skip: withoutRedis }, async (t) => {
  const redis = await connectTestRedis()
  t.after(() => redis.close())
  await fc.assert(
    fc.asyncProperty(
      fc.record({ tenant: tenantLimits, key: someLimits, agent: someLimits, user: someLimits, gpt: someLimits, all: someLimits }),
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async ({ tenant, key, agent, user, gpt, all }, steps) => {
        const inMemory = limitsOn(null, { now: () => 0, wallNow: () => 0 })
        const inRedis = limitsOn(redis)
        const tenantId = newId('t')
        const common = { tenantId, tenant, each: { key, agent, user, models: { 'gpt-*': gpt, '*': all } } }
        const person = callerWith(common)
        const program = callerWith({ ...common, agentId: 'ag_1', keyPrefix: 'ef_live_agent000' })
        const holds: [Hold, Hold][] = []
        for (const one of steps) {
          if (one.kind === 'take') {
            const { agent, kind, ...more } = one
            const call = callBy(agent ? program : person, more)
            const [a, b] = await Promise.all([inMemory, inRedis].map((limits: Limits) => limits.take(call)))
            // How long to wait differs by what flowed in meanwhile.
            const told = ({ over, state, mode }: typeof a) => [over === null, over?.never, mode, state.remaining, state.tokens?.remaining]
            assert.deepEqual(told(b!), told(a!))
            if (a!.hold && b!.hold) holds.push([a!.hold, b!.hold])
          } else {
            const both = holds[one.which % Math.max(1, holds.length)]
            await Promise.all((both ?? []).map((hold) => (one.kind === 'settle' ? hold.settle(one.used) : hold.giveBack())))
          }
          assert.equal(inRedis.held, inMemory.held)
        }
        await inRedis.close()
      },
    ),
    { numRuns: 60 },
  )
})
