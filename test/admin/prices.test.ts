import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createCatalogue } from '../../src/prices/catalogue.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage, NOW } from './management.ts'

const openai = { name: 'openai', dialects: ['openai-chat'], base_url: 'https://api.openai.com/v1', models: ['gpt-*', 'o3'] }
const mine = {
  name: 'mine',
  dialects: ['openai-chat'],
  base_url: 'https://api.example.com/v1',
  models: ['gpt-4o', 'llama-*'],
  prices: [
    { model: 'llama-*', input: 0, output: 0 },
    { model: 'gpt-4o', input: 1, output: 2, cached_input: 0.5 },
  ],
}

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  beforeEach(() => database.sql`truncate upstreams`)
  after(() => database.drop())

  const add = (body: object, tenant?: string) => api.ask('POST', '/v1/upstreams', { body, ...(tenant !== undefined && { tenant }) })
  interface Row {
    model: string
    upstream: string
    source: string
    input: number
    tiers?: unknown
  }
  const prices = async (query = '', who: { key?: string; tenant?: string } = {}): Promise<{ rows: Row[]; total: number }> => {
    const { status, json } = await api.ask('GET', `/v1/prices${query}`, who)
    assert.equal(status, 200, JSON.stringify(json))
    return { rows: json.prices, total: json.total }
  }

  test('a model costs what each upstream that serves it says, or else the catalogue; one that nobody prices is not there', async () => {
    const { id, key } = await api.createTenant()
    await add(openai)
    await add(mine, id)
    const catalogued = createCatalogue().priceOf('gpt-4o', { vendor: 'openai', baseUrl: 'https://api.openai.com/v1' }, NOW)
    assert.deepEqual((await prices('?model=gpt-4o', { key })).rows, [
      { model: 'gpt-4o', upstream: 'mine', source: 'upstream', input: 1, output: 2, cached_input: 0.5 },
      { model: 'gpt-4o', upstream: 'openai', source: 'catalogue', ...catalogued },
    ])
    assert.deepEqual((await prices('?model=llama-3', { key })).rows, [{ model: 'llama-3', upstream: 'mine', source: 'upstream', input: 0, output: 0 }])
    for (const model of ['gpt-of-nobody', 'claude-sonnet-4-5']) assert.deepEqual(await prices(`?model=${model}`, { key }), { rows: [], total: 0 })
  })

  test('a tier says above which size it holds, and what every kind of token costs then', async () => {
    await add({ ...openai, name: 'gemini', dialects: ['gemini'], base_url: 'https://generativelanguage.googleapis.com', models: ['gemini-*'] })
    const {
      rows: [row],
    } = await prices('?model=gemini-2.5-pro')
    const tiers = row.tiers as { above_input_tokens: number; input: number }[]
    assert.equal(tiers.length, 1)
    assert.ok(tiers[0].above_input_tokens >= 100_000 && tiers[0].input > row.input)
    assert.deepEqual(
      Object.keys(tiers[0]).sort(),
      ['above_input_tokens', ...Object.keys(row).filter((name) => !['model', 'upstream', 'source', 'tiers'].includes(name))].sort(),
    )
  })

  test('without a model, or by a pattern, the list is each upstream’s own prices and the catalogue’s of what it serves beside them, page by page', async () => {
    const { id } = await api.createTenant()
    await add(openai)
    await add(mine, id)
    const all = await prices('?limit=1000', { tenant: id })
    assert.deepEqual(
      all.rows.slice(0, 2).map(({ model, source }) => [model, source]),
      [
        ['llama-*', 'upstream'],
        ['gpt-4o', 'upstream'],
      ],
    )
    const catalogued = all.rows.filter(({ source }) => source === 'catalogue')
    assert.ok(catalogued.length > 10)
    assert.ok(catalogued.every(({ model, upstream }) => upstream === 'openai' && /^(?:gpt-|o3$)/.test(model)))
    assert.ok(catalogued.some(({ model }) => model === 'gpt-4o'))
    const page = await prices('?limit=3&offset=1', { tenant: id })
    assert.deepEqual([page.rows, page.total], [all.rows.slice(1, 4), all.rows.length])
    const some = (await prices('?model=gpt-4o-mini*&limit=1000', { tenant: id })).rows
    assert.deepEqual(
      some,
      all.rows.filter(({ model }) => model.startsWith('gpt-4o-mini')),
    )
    assert.ok(some.length > 1)
  })

  test('nobody sees the prices of another tenant’s upstreams, nor of those that are switched off', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    await add(mine, one.id)
    await add({ ...mine, name: 'off', active: false }, two.id)
    await add(openai)
    const seen = async (who: { key?: string; tenant?: string }) => new Set((await prices('?limit=1000', who)).rows.map(({ upstream }) => upstream))
    assert.deepEqual(await seen({ key: one.key }), new Set(['mine', 'openai']))
    assert.deepEqual(await seen({ key: two.key }), new Set(['openai']))
    assert.deepEqual(await seen({ tenant: one.id }), new Set(['mine', 'openai']))
    assert.deepEqual(await seen({}), new Set(['openai']), 'without a tenant the installation’s')
    assert.equal((await api.ask('GET', '/v1/prices?model=a%20b')).status, 400)
  })
})
