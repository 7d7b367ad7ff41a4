import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCatalogue } from '../../src/prices/catalogue.ts'
import { createUpstreamPrices } from '../../src/prices/upstream-prices.ts'

const AT = Date.UTC(2026, 10, 20)
const catalogue = createCatalogue()
const where = { vendor: 'openai', baseUrl: 'https://api.openai.com/v1' }
const usage = { input_tokens: 1_000, output_tokens: 100, cached_input_tokens: 500 }

test('what the upstream says wins, the first pattern that fits, and whole: nothing of the catalogue is mixed in', () => {
  const prices = [
    { model: 'gpt-4o-mini', input: 7, output: 8 },
    { model: 'gpt-*', input: 1, output: 2, cached_input: 0.5 },
    { model: 'gpt-5', input: 9, output: 9 },
  ]
  const { costOf, ratesOf, find } = createUpstreamPrices({ ...where, prices, catalogue })
  assert.equal(costOf(['gpt-4o-mini'], usage, AT), 7_000 * 1_000 + 8_000 * 100)
  assert.equal(costOf(['gpt-5'], usage, AT), 1_000 * 500 + 500 * 500 + 2_000 * 100)
  assert.deepEqual(ratesOf(['gpt-5'], AT), { input: 1, output: 2 })
  assert.equal(find('o3', AT)?.source, 'catalogue')
  assert.equal(find('unknown', AT), null)
})

test('another spelling of a model costs the same', () => {
  const { find } = createUpstreamPrices({
    vendor: 'openai',
    baseUrl: 'https://api.openai.com/v1',
    prices: [{ model: 'gpt-5*', input: 1, output: 2 }],
    catalogue,
  })
  for (const spelled of ['GPT-5', 'models/gpt-5-mini']) assert.equal(find(spelled, AT)?.source, 'upstream', spelled)
})

test('a model one runs oneself costs what the catalogue says, and is free only by a row that says so', () => {
  const local = { vendor: 'openai', baseUrl: 'http://10.0.0.5:8000/v1' }
  assert.ok((createUpstreamPrices({ ...local, prices: [], catalogue }).costOf(['gpt-oss-20b'], usage, AT) ?? 0) > 0)
  assert.equal(createUpstreamPrices({ ...local, prices: [{ model: '*', input: 0, output: 0 }], catalogue }).costOf(['gpt-oss-20b'], usage, AT), 0)
})

test('of several models the dearest counts; one without a price, or no model at all, leaves none', () => {
  const { costOf, ratesOf } = createUpstreamPrices({
    ...where,
    prices: [
      { model: 'a', input: 1, output: 9 },
      { model: 'b', input: 5, output: 2 },
    ],
    catalogue: null,
  })
  assert.equal(costOf(['a', 'b'], { input_tokens: 1, output_tokens: 0 }, AT), 5_000)
  assert.equal(costOf(['a', 'b'], { input_tokens: 0, output_tokens: 1 }, AT), 9_000)
  assert.deepEqual(ratesOf(['a', 'b'], AT), { input: 5, output: 9 })
  for (const models of [[], ['c'], ['a', 'gpt-4o']]) assert.deepEqual([costOf(models, usage, AT), ratesOf(models, AT)], [null, null])
})
