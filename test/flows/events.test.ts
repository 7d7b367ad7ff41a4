import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { lastActorOn } from '../../src/audit/record-change.ts'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson, type Script } from '../harness/provider.ts'
import { type Queued, queued } from '../webhooks/endpoints-of.ts'

/** Far less than what is cached is believed without being told of a change. */
const HEARD_MAX_MS = 10_000

let one: Flow
let other: Flow
before(async () => {
  one = await startEarthflow()
  other = await startEarthflow({ databaseUrl: one.databaseUrl })
})
after(async () => {
  await other.close()
  await one.close()
})
const call = (flow: Flow, text = 'hello') => flow.post('/v1/chat/completions', chat(text), { authorization: `Bearer ${one.tenant.api_key}` })
const told = async (...types: string[]): Promise<Queued[]> => (await queued(one.database)).filter(({ type }) => types.includes(type))
const fails: Script = ({ response }) => response.writeHead(500, { 'content-type': 'application/json' }).end('{}')
/** Nobody is there, and nobody has to be: what is queued is looked at. */
const endpoint = (events: string[]) => one.admin('POST', '/v1/webhooks', { url: 'https://127.0.0.1:8443/', events })

test('calls are told as soon as somebody asks for it, by the process that was asked and by the other within a moment; what was before is not', async () => {
  await call(one)
  await one.recorded(HEARD_MAX_MS)
  const made = await endpoint(['ALLOW', 'UPSTREAM_DOWN', 'UPSTREAM_UP'])
  assert.equal(made.status, 201, made.text)
  await call(one)
  await until(async () => (await told('ALLOW')).length === 1, 'the call here to be told', HEARD_MAX_MS)
  await until(
    async () => {
      await call(other)
      return (await told('ALLOW')).length >= 2
    },
    'a call there to be told',
    HEARD_MAX_MS,
  )
  const events = await told('ALLOW')
  assert.equal(new Set(events.map(({ data }) => data.audit_id)).size, events.length, 'each once')
})

test('an upstream that answers five calls with errors is told to be down, and up with the first that it answers', async () => {
  one.provider.script = fails
  for (let i = 0; i < 4; i++) await call(one)
  await call(other)
  one.provider.script = answerJson
  await call(one)
  one.provider.script = fails
  for (let i = 0; i < 6; i++) await call(one)
  await until(async () => (await told('UPSTREAM_DOWN')).length === 1, 'it to be told', HEARD_MAX_MS)
  one.provider.script = answerJson
  await call(one)
  await until(async () => (await told('UPSTREAM_UP')).length === 1, 'the end of it to be told', HEARD_MAX_MS)
  const [down, up] = await told('UPSTREAM_DOWN', 'UPSTREAM_UP')
  assert.deepEqual([down?.tenant_id, down?.subject, down?.data.details], [null, 'openai-like', { status: 500, error: null, failures: 5 }])
  assert.deepEqual([up?.tenant_id, up?.data.subject, up?.data.details], [null, 'openai-like', { failures: 6 }])
  // What the program tells of an upstream must not look as if it had taken it back from the administrator.
  assert.equal(await lastActorOn(one.database.db, 'upstream', 'openai-like'), 'admin')
})
