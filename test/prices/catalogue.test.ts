import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { calcPrice, waitForUpdate } from '@pydantic/genai-prices'
import fc from 'fast-check'
import type { Usage } from '../../src/call.ts'
import { createCatalogue } from '../../src/prices/catalogue.ts'
import { costOf } from '../../src/prices/cost.ts'

const catalogue = createCatalogue()
const openai = { vendor: 'openai', baseUrl: 'https://api.openai.com/v1' }
const anthropic = { vendor: 'anthropic', baseUrl: 'https://api.anthropic.com' }
const gemini = { vendor: 'gemini', baseUrl: 'https://generativelanguage.googleapis.com' }
const azure = { vendor: 'openai', baseUrl: 'https://mine.openai.azure.com' }
const openrouter = { vendor: 'openai', baseUrl: 'https://openrouter.ai/api/v1' }
const own = (vendor: string) => ({ vendor, baseUrl: 'http://10.0.0.5:8000/v1' })
const AT = Date.UTC(2026, 10, 20, 12)
const timestamp = new Date(AT)

/** What the library charges for the same, in nano-dollars. */
function chargedFor(usage: Usage, model: string, providerId: string): number {
  const told = {
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    ...(usage.cached_input_tokens !== undefined && { cache_read_tokens: usage.cached_input_tokens }),
    ...(usage.cache_write_tokens !== undefined && { cache_write_tokens: usage.cache_write_tokens }),
    ...(usage.cache_write_1h_tokens !== undefined && { cache_write_1h_tokens: usage.cache_write_1h_tokens }),
    ...(usage.reasoning_tokens !== undefined && { output_reasoning_tokens: usage.reasoning_tokens }),
    ...(usage.audio_input_tokens !== undefined && { input_audio_tokens: usage.audio_input_tokens }),
    ...(usage.audio_output_tokens !== undefined && { output_audio_tokens: usage.audio_output_tokens }),
  }
  const result = calcPrice(told, model, { providerId, timestamp })
  assert.ok(result, model)
  return result.total_price * 1e9
}

const plain = { input_tokens: 1_234, output_tokens: 567 }
const long = { input_tokens: 300_001, output_tokens: 8_191 }
const cached = { ...plain, cached_input_tokens: 1_000 }
for (const [model, where, id, usages] of [
  ['gpt-4o', openai, 'openai', [plain, cached]],
  ['gpt-4o-2024-08-06', openai, 'openai', [plain, cached]],
  ['gpt-4o-mini', openai, 'openai', [plain, cached, { input_tokens: 1, output_tokens: 1 }]],
  ['gpt-5', openai, 'openai', [plain, cached, { ...plain, reasoning_tokens: 500 }]],
  ['gpt-5.5', openai, 'openai', [plain, cached, long, { ...long, cached_input_tokens: 200_000 }]],
  ['o3', openai, 'openai', [plain, { ...plain, reasoning_tokens: 500 }]],
  ['text-embedding-3-small', openai, 'openai', [{ input_tokens: 7, output_tokens: 0 }]],
  ['gpt-audio', openai, 'openai', [{ ...plain, audio_input_tokens: 1_000, audio_output_tokens: 500 }]],
  ['claude-sonnet-4-5', anthropic, 'anthropic', [plain, cached, long, { ...long, cached_input_tokens: 1, cache_write_tokens: 9, cache_write_1h_tokens: 4 }]],
  ['claude-opus-4-1-20250805', anthropic, 'anthropic', [{ ...plain, cached_input_tokens: 1, cache_write_tokens: 900, cache_write_1h_tokens: 400 }]],
  ['gemini-2.5-pro', gemini, 'google', [plain, cached, { input_tokens: 200_000, output_tokens: 1 }, { input_tokens: 200_001, output_tokens: 1 }, long]],
  ['gemini-2.5-flash', gemini, 'google', [plain, { ...plain, audio_input_tokens: 1_000 }]],
] as const) {
  test(`${model} costs to the nano-dollar what the library charges`, () => {
    const price = catalogue.priceOf(model, where, AT)
    assert.ok(price)
    for (const usage of usages) {
      const expected = chargedFor(usage, model, id)
      assert.ok(expected > 0)
      assert.ok(Math.abs(costOf(usage, price) - expected) <= 0.5 + expected * 1e-12, `${JSON.stringify(usage)} ${costOf(usage, price)} ${expected}`)
    }
  })
}

test('a tier begins above its size, and then holds for all tokens of the call', () => {
  const price = catalogue.priceOf('gemini-2.5-pro', gemini, AT)
  assert.ok(price)
  const [at, above] = [200_000, 200_001].map((input_tokens) => costOf({ input_tokens, output_tokens: 0 }, price))
  assert.ok(above > at * 1.5)
})

test('nobody knows what an unknown model costs, or one that is not paid by tokens: that is not nothing', () => {
  for (const [model, where] of [
    ['sandbox', { vendor: 'openai', baseUrl: 'sandbox:' }],
    ['my-own-model', own('openai')],
    ['gpt-4o-that-does-not-exist', openai],
    ['', openai],
    ['whisper-1', openai],
    ['omni-moderation-latest', openai],
    ['gpt-4o'.padEnd(300, 'o'), openai],
    ['constructor', { vendor: 'constructor', baseUrl: '' }],
    ['__proto__/gpt-4o', own('__proto__')],
  ] as const)
    assert.equal(catalogue.priceOf(model, where, AT), null, model)
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), fc.string(), (model, vendor) => void catalogue.priceOf(model, { vendor, baseUrl: 'https://x.example' }, AT)),
  )
})

test('the provider is the one at the address, else the vendor, else the one that the name begins with, else whose model it is', () => {
  const like = (model: string, where: typeof openai, id: string, name: string) =>
    assert.deepEqual(
      costOf(plain, catalogue.priceOf(model, where, AT) ?? assert.fail(model)),
      Math.round(chargedFor(plain, name, id)),
      `${model} at ${where.baseUrl}`,
    )
  like('models/gemini-2.5-pro', gemini, 'google', 'gemini-2.5-pro')
  like('gpt-35-turbo', azure, 'azure', 'gpt-3.5-turbo')
  like('gpt-4o', azure, 'openai', 'gpt-4o')
  like('openai/gpt-4o', openrouter, 'openrouter', 'openai/gpt-4o')
  like('gpt-4o', own('openai'), 'openai', 'gpt-4o')
  like('gpt-35-turbo', own('azure'), 'azure', 'gpt-35-turbo')
  like('openai/gpt-4o', own('openai'), 'openai', 'gpt-4o')
  like('anthropic/claude-opus-4-1', own('openai'), 'anthropic', 'claude-opus-4-1')
  like('claude-sonnet-4-5', own('openai'), 'anthropic', 'claude-sonnet-4-5')
  like('claude-sonnet-4-5', { vendor: '', baseUrl: '' }, 'anthropic', 'claude-sonnet-4-5')
})

test('a price holds from its day on', async () => {
  // Some model whose price has changed once; which one, the data say.
  const providers = (await waitForUpdate()) ?? []
  const changed = providers
    .flatMap(({ id, models }) => models.map((model) => ({ id, model })))
    .find(({ id, model: { id: name, prices } }) => {
      if (!Array.isArray(prices) || prices.at(-1)?.constraint?.type !== 'start_date') return false
      return prices.every(({ prices: one }) => typeof one.input_mtok === 'number') && calcPrice({}, name, { providerId: id })?.model.id === name
    })
  assert.ok(changed && Array.isArray(changed.model.prices))
  const constraint = changed.model.prices.at(-1)?.constraint as { start_date: string }
  const start = Date.parse(constraint.start_date)
  for (const at of [start - 60_000, start]) {
    const price = catalogue.priceOf(`${changed.id}/${changed.model.id}`, { vendor: '', baseUrl: '' }, at)
    const told = calcPrice({}, changed.model.id, { providerId: changed.id, timestamp: new Date(at) })
    assert.equal(price?.input, told?.model_price.input_mtok)
  }
})

test('every model of the catalogue has a price or none, and none of them a part that no rate could be', async () => {
  for (const { id, models } of (await waitForUpdate()) ?? []) {
    for (const { id: model } of models) {
      const price = catalogue.priceOf(`${id}/${model}`, { vendor: '', baseUrl: '' }, AT)
      if (price === null) continue
      for (const rate of Object.values(price))
        for (const value of typeof rate === 'number' ? [rate] : [rate.base, ...rate.tiers.map((tier: { price: number }) => tier.price)])
          assert.ok(value >= 0 && value <= 1e6 && Number.isFinite(value), `${id} ${model}`)
    }
  }
})

test('the list is that of the provider at the address, else of the vendor: by name, with a price each', () => {
  const listed = catalogue.list(anthropic, AT)
  assert.ok(listed.length > 10)
  assert.deepEqual(
    listed.map(({ model }) => model),
    listed.map(({ model }) => model).toSorted(),
  )
  assert.deepEqual(listed.find(({ model }) => model === 'claude-opus-4-1')?.price, catalogue.priceOf('claude-opus-4-1', anthropic, AT))
  assert.deepEqual(
    catalogue.list(own('anthropic'), AT).map(({ model }) => model),
    listed.map(({ model }) => model),
  )
  assert.ok(catalogue.list(openrouter, AT).length > 100)
  assert.deepEqual(catalogue.list({ vendor: 'nobody', baseUrl: '' }, AT), [])
})

test('the catalogue asks nobody: it opens no connection and keeps no process alive', () => {
  const script = `
    const net = require('node:net'), dns = require('node:dns')
    net.Socket.prototype.connect = dns.lookup = globalThis.fetch = () => { throw new Error('network') }
    import('${new URL('../../src/prices/catalogue.ts', import.meta.url)}').then(({ createCatalogue }) => {
      const price = createCatalogue().priceOf('gpt-4o', { vendor: 'openai', baseUrl: '' }, Date.now())
      if (!price || process.getActiveResourcesInfo().length > 0) process.exit(1)
    })`
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { timeout: 30_000, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
})
