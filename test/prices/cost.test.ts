import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Usage } from '../../src/call.ts'
import { costOf } from '../../src/prices/cost.ts'
import type { Price } from '../../src/prices/price.ts'

/** Every kind has a rate of its own, in nano-dollars for a token once a thousand of them are paid. */
const price: Price = {
  input: 1,
  output: 10,
  cached_input: 0.1,
  cache_write: 2,
  cache_write_1h: 4,
  reasoning: 20,
  audio_input: 30,
  audio_output: 40,
}
const bare: Price = { input: 1, output: 10 }

test('each part costs its own rate and is taken from its whole', () => {
  const usage: Usage = {
    input_tokens: 100,
    output_tokens: 100,
    cached_input_tokens: 10,
    cache_write_tokens: 20,
    cache_write_1h_tokens: 5,
    audio_input_tokens: 7,
    reasoning_tokens: 30,
    audio_output_tokens: 11,
  }
  assert.equal(costOf(usage, price), 1000 * (63 * 1 + 10 * 0.1 + 15 * 2 + 5 * 4 + 7 * 30 + 59 * 10 + 30 * 20 + 11 * 40))
  assert.equal(costOf(usage, bare), 1000 * (100 + 1000), 'what has no rate of its own costs like its whole')
  assert.equal(costOf(usage, { ...bare, cache_write: 2 }), 1000 * (80 + 40 + 1000), 'an hour costs like five minutes where nobody says more')
  assert.equal(costOf(usage, { input: 0, output: 0 }), 0)
})

test('parts that are larger than their whole take no more than there is', () => {
  assert.equal(costOf({ input_tokens: 10, output_tokens: 0, cached_input_tokens: 50 }, price), 1_000)
  assert.equal(costOf({ input_tokens: 10, output_tokens: 0, cached_input_tokens: 8, cache_write_tokens: 8 }, price), 8 * 2_000 + 2 * 100)
  assert.equal(costOf({ input_tokens: 10, output_tokens: 0, cache_write_tokens: 4, cache_write_1h_tokens: 9 }, price), 4 * 4_000 + 6 * 1_000)
  assert.equal(costOf({ input_tokens: 0, output_tokens: 5, reasoning_tokens: 9, audio_output_tokens: 9 }, price), 5 * 20_000)
  const tokens = fc.option(fc.nat({ max: 1_000_000_000 }), { nil: undefined })
  const usages = fc.record({
    input_tokens: fc.nat({ max: 1_000_000_000 }),
    output_tokens: fc.nat({ max: 1_000_000_000 }),
    cached_input_tokens: tokens,
    cache_write_tokens: tokens,
    cache_write_1h_tokens: tokens,
    reasoning_tokens: tokens,
    audio_input_tokens: tokens,
    audio_output_tokens: tokens,
  })
  const property = fc.property(usages, (usage) => {
    const cost = costOf(usage as Usage, price)
    const { input_tokens: asked, output_tokens: said } = usage
    assert.ok(cost >= 100 * asked + 10_000 * said && cost <= 30_000 * asked + 40_000 * said, String(cost))
  })
  fc.assert(property)
})

test('the sum is rounded once, half up', () => {
  const half: Price = { input: 0.0005, output: 0.0005 }
  assert.equal(costOf({ input_tokens: 1, output_tokens: 0 }, half), 1)
  assert.equal(costOf({ input_tokens: 1, output_tokens: 1 }, half), 1, 'two halves are one')
  assert.equal(costOf({ input_tokens: 2, output_tokens: 1 }, half), 2)
  assert.equal(costOf({ input_tokens: 1, output_tokens: 0 }, { input: 0.000499, output: 0 }), 0)
  // In floating point 0.0145 × 1000 is less than 14.5.
  assert.equal(costOf({ input_tokens: 1, output_tokens: 0 }, { input: 0.0145, output: 0 }), 15)
})

test('sums are exact up to nine million dollars, and no cost is more', () => {
  assert.equal(costOf({ input_tokens: 999_999_937, output_tokens: 0 }, { input: 7.000_001, output: 0 }), 6_999_999_559_000 + 999_999_937 / 1000 + 0.063)
  assert.equal(costOf({ input_tokens: 1_000_000_000, output_tokens: 1_000_000_000 }, { input: 1e6, output: 1e6 }), Number.MAX_SAFE_INTEGER)
})

test('a call may have a price of its own', () => {
  assert.equal(costOf({ input_tokens: 1, output_tokens: 0 }, { ...bare, request: 0.005 }), 5_000_000 + 1_000)
})

test('above a size all tokens cost what its tier says, and cached ones count for the size', () => {
  const tiered: Price = {
    input: {
      base: 1,
      tiers: [
        { start: 100, price: 2 },
        { start: 200, price: 3 },
      ],
    },
    output: 5,
    cached_input: { base: 0.5, tiers: [{ start: 100, price: 1 }] },
  } // prettier-ignore
  const cost = (input_tokens: number, cached_input_tokens = 0) => costOf({ input_tokens, cached_input_tokens, output_tokens: 1 }, tiered)
  assert.deepEqual([cost(100), cost(101), cost(200), cost(201)], [105_000, 207_000, 405_000, 608_000])
  assert.equal(cost(101, 100), 2_000 + 100_000 + 5_000)
})
