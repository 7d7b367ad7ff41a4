/** What a developer sees through each official library, in every situation Earthflow can put them in: the table in src/dialects/README.md is this one. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import { type Answer, type Client, type Sdk, sdks } from '../harness/sdks.ts'

const CARD = '4111 1111 1111 1111'
const rules = [
  { name: 'no fruit', action: 'BLOCK', condition: { operator: 'contains', value: 'forbidden fruit' } },
  { name: 'cards', action: 'REDACT', condition: { operator: 'detects', value: 'credit_card' } },
  { name: 'stop', action: 'BLOCK', condition: { operator: 'contains', value: 'say no more', target: 'response' } },
]

interface Scenario {
  column: string
  tenant: 'strict' | 'soft' | 'empty' | 'broken'
  run(client: Client): Promise<string>
}
const ask = { model: 'sandbox', prompt: 'Hello', tool: false }
const isAnswered = ({ text }: Answer, expected: string): string => {
  assert.equal(text, expected)
  return 'answer'
}
const scenarios: readonly Scenario[] = [
  { column: 'allowed', tenant: 'strict', run: async (client) => isAnswered(await client.ask(ask), 'You said: Hello') },
  { column: 'streamed', tenant: 'strict', run: async (client) => isAnswered(await client.stream(ask), 'You said: Hello') },
  {
    column: 'tool call',
    tenant: 'strict',
    run: async (client) => {
      const { toolArguments } = await client.ask({ ...ask, tool: true })
      assert.ok('city' in JSON.parse(toolArguments ?? '{}'))
      return 'tool call'
    },
  },
  { column: 'BLOCK', tenant: 'strict', run: (client) => client.ask({ ...ask, prompt: 'A forbidden fruit' }).then(answered) },
  {
    column: 'REDACT',
    tenant: 'strict',
    run: async (client) => isAnswered(await client.ask({ ...ask, prompt: `Card ${CARD}` }), 'You said: Card [CREDIT_CARD]'),
  },
  { column: '429', tenant: 'strict', run: (client) => client.ask({ ...ask, model: 'sandbox-429' }).then(answered) },
  { column: '503', tenant: 'broken', run: (client) => client.ask(ask).then(answered) },
  { column: 'stream stopped by a rule', tenant: 'strict', run: (client) => midStream(client, 'one two three say no more four five') },
  { column: 'the same, stream_stop soft', tenant: 'soft', run: (client) => midStream(client, 'one two three say no more four five') },
  { column: 'provider cut off', tenant: 'strict', run: (client) => midStream(client, 'one two three', 'sandbox-cut') },
]
const answered = ({ finish }: Answer): string => `answer (${finish})`

/** What stood in front of the stop has arrived, and nothing of what came after. */
async function midStream(client: Client, prompt: string, model = 'sandbox'): Promise<string> {
  let text = ''
  try {
    const { finish } = await client.stream({ ...ask, model, prompt }, (piece) => {
      text += piece
    })
    return `ends as ${finish}`
  } finally {
    assert.match(text, /^You said/)
    assert.doesNotMatch(text, /no more|four/)
  }
}

const columns = scenarios.map(({ column }) => column)
const cells = new Map<string, Map<string, string>>()
const plainFetch = globalThis.fetch
/** Requests by key: a library has one key in each scenario, and runs one scenario after the other. */
const sent = new Map<string, number>()
let flow: Flow

before(async () => {
  globalThis.fetch = (input, init) => {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : {}))
    const key = /ef_test_\w+/.exec([...headers.values()].join(' '))?.[0] ?? ''
    sent.set(key, (sent.get(key) ?? 0) + 1)
    return plainFetch(input, init)
  }
  flow = await startEarthflow()
  // The sandbox alone: a provider's 429 would otherwise be made good by the next that serves every model.
  for (const name of ['openai-like', 'anthropic-like']) assert.equal((await flow.admin('DELETE', `/v1/upstreams/${name}`)).status, 204)
  const tenants = { strict: await tenantWith({}), soft: await tenantWith({ stream_stop: 'soft' }), empty: await tenantWith({}), broken: await tenantWith({}) }
  await breakPolicy(tenants.broken.tenant_id)
  await Promise.all(sdks.map((sdk) => play(sdk, tenants)))
})
after(async () => {
  globalThis.fetch = plainFetch
  await flow.close()
})

async function tenantWith(fields: object): Promise<{ tenant_id: string }> {
  const tenant = await flow.newTenant({ rules_preset: null, ...fields })
  for (const rule of rules) assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, rule)).status, 201)
  return tenant
}

/** A stored policy nobody can judge by: what must never turn into ALLOW, nor into 401. */
async function breakPolicy(tenantId: string): Promise<void> {
  await flow.database.sql.unsafe(`update policy_versions set rules = '[{"id":"x"}]' where tenant_id = '${tenantId}'`)
  await flow.database.sql.unsafe(`insert into changes (kind, tenant_id) values ('policies', '${tenantId}')`)
}

async function play(sdk: Sdk, tenants: Record<Scenario['tenant'], { tenant_id: string }>): Promise<void> {
  const row = new Map<string, string>()
  cells.set(sdk.name, row)
  for (const { column, tenant, run } of scenarios) {
    const { api_key: key } = (await flow.admin('POST', `/v1/tenants/${tenants[tenant].tenant_id}/keys`, { name: `${sdk.name}: ${column}` })).json as {
      api_key: string
    }
    let cell: string
    try {
      cell = await run(sdk.connect(`http://127.0.0.1:${flow.port}`, key))
    } catch (error) {
      if (error instanceof assert.AssertionError) cell = `WRONG: ${error.message.slice(0, 200).replaceAll(/\s+/g, ' ')}`
      else cell = nameOf(error)
    }
    const tries = sent.get(key) ?? 0
    row.set(column, tries === 1 ? cell : `${cell}, ${tries} requests`)
  }
}

/** The class a developer would catch, and the status where it carries one. */
function nameOf(error: unknown): string {
  const { name, constructor: maker, status, statusCode, lastError } = error as Record<string, unknown> & { constructor: { name: string } }
  if (lastError) return `${String(name).replace(/^AI_/, '')} of ${nameOf(lastError)}`
  if (maker.name === 'Object') return 'error object'
  const shown = maker.name === 'Error' || maker.name.startsWith('_') ? String(name).replace(/^AI_/, '') : maker.name
  const code = status ?? statusCode
  return typeof code === 'number' ? `${shown} ${code}` : shown
}

const table = (): string =>
  [
    `| library | ${columns.join(' | ')} |`,
    `|---${'|---'.repeat(columns.length)}|`,
    ...sdks.map(({ name }) => `| ${name} | ${columns.map((column) => cells.get(name)?.get(column)).join(' | ')} |`),
  ].join('\n')

test('the documented matrix is what the official libraries do today', () => {
  const made = table()
  if (process.env.SHOW_MATRIX) console.log(made)
  assert.doesNotMatch(made, /WRONG|undefined/)
  assert.ok(
    readFileSync(join(import.meta.dirname, '../../src/dialects/README.md'), 'utf8').includes(made),
    `put this table into src/dialects/README.md:\n${made}`,
  )
})

for (const { name } of sdks) {
  test(`${name}: a block and a budget of tries`, () => {
    const row = cells.get(name)
    assert.ok(row)
    assert.doesNotMatch(row.get('BLOCK') ?? '', /requests|answer/, 'a block is an error, and never tried again')
    assert.doesNotMatch(row.get('503') ?? '', /40\d|answer/, 'an outage is no refusal')
    assert.doesNotMatch(row.get('stream stopped by a rule') ?? '', /ends as (?!failed)/, 'a stream that was stopped does not look complete')
    assert.doesNotMatch(row.get('provider cut off') ?? '', /ends as (?!failed)/)
    assert.match(row.get('the same, stream_stop soft') ?? '', /ends as/)
  })
}
