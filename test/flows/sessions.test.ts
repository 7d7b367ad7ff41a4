/** Calls with a session's token instead of a key: what each profile changes about them, and how the token ends. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import type { Script } from '../harness/provider.ts'

const SSN = '536-90-4399'
/** Far less than what is cached is believed without being told of a change. */
const HEARD_MAX_MS = 10_000

let flow: Flow
let other: Flow
/** What the model answers, given what it was told. */
let reply: (told: string) => string
const answering: Script = ({ body, response }) => {
  const { content } = JSON.parse(body.toString()).messages.at(-1)
  const message = { role: 'assistant', content: reply(content) }
  const answer = JSON.stringify({
    id: 'c',
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  })
  response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
}

before(async () => {
  flow = await startEarthflow({ script: answering })
  other = await startEarthflow({ databaseUrl: flow.databaseUrl })
  const about = (value: string, target?: string) => ({ operator: 'contains', value, ...(target && { target }) })
  await flow.rule({ name: 'Birds', condition: about('osprey'), action: 'WARN' })
  await flow.rule({ name: 'Said birds', condition: about('kestrel', 'response'), action: 'WARN' })
  await flow.rule({ name: 'Long', condition: { operator: 'length_gt', value: 400 }, action: 'WARN' })
  await flow.rule({ name: 'Tools', condition: about('falconry', 'tool_names'), action: 'WARN' })
  await flow.rule({ name: 'Numbers', condition: { operator: 'detects', value: 'ssn' }, action: 'REDACT', reversible: true })
  await flow.rule({ name: 'Deals', condition: about('merger'), action: 'ESCALATE' })
  await flow.rule({ name: 'Users', condition: { operator: 'equals', value: 'mallory', target: 'metadata.user' }, action: 'BLOCK' })
})
after(async () => {
  await other.close()
  await flow.close()
})
beforeEach(() => {
  flow.provider.seen.length = 0
  reply = () => 'Hi'
})

const made = async (profile: string, ask: Record<string, string> = {}) => {
  const { tenant_id } = flow.tenant
  const { status, json } = await flow.admin('POST', ask.authorization ? '/v1/sessions' : `/v1/sessions?tenant_id=${tenant_id}`, { profile }, ask)
  assert.equal(status, 201)
  return json as { session_id: string; token: string }
}
const withKey = () => ({ authorization: `Bearer ${flow.tenant.api_key}` })
const call = (token: string, body: string, headers: Record<string, string> = {}, path = '/v1/chat/completions', where = flow) =>
  where.post(path, body, { authorization: `Bearer ${token}`, ...headers })
const told = (): string => JSON.parse(flow.provider.seen.at(-1)?.body.toString() ?? 'null').messages.at(-1).content
const answered = (json: unknown): string => (json as { choices: { message: { content: string } }[] }).choices[0].message.content
const lastRow = async () => (await flow.rows())[0]

test('a session’s token stands wherever a key would, and never leaves', async () => {
  const { token } = await made('quick_lock', withKey())
  const places = [
    { authorization: `Bearer ${token}` },
    { authorization: '', 'x-api-key': token },
    { authorization: '', 'x-earthflow-key': token },
    { authorization: 'Bearer sk-of-the-caller-0123456789', 'x-earthflow-key': token },
  ]
  for (const headers of places) assert.equal((await flow.post('/v1/chat/completions', chat('hello'), headers)).status, 200, Object.keys(headers).join())
  const { status } = await flow.post(`/v1/chat/completions?key=${token}`, chat('hello'), { authorization: '' })
  assert.equal(status, 200)
  assert.equal(flow.provider.seen.length, 5)
  for (const { request, url } of flow.provider.seen) {
    assert.ok(!url.includes('ef_session_') && !request.rawHeaders.join().includes('ef_session_'))
    assert.equal(request.headers.authorization, `Bearer ${flow.credential}`)
  }
  assert.equal((await call(`${token.slice(0, -2)}xx`, chat('hello'))).status, 401)
})

test('a quick_lock is judged like its key; its rows name the session, and nobody else’s can', async () => {
  const { token, session_id } = await made('quick_lock', withKey())
  reply = (said) => said
  const { status, headers, json } = await call(token, chat(`an osprey of ${SSN}`, { user: 'ann', metadata: { session: 'ses_forged', team: 'red' } }))
  assert.deepEqual([status, headers.get('x-earthflow-decision'), answered(json)], [200, 'redact', `an osprey of ${SSN}`])
  const row = await lastRow()
  assert.deepEqual(row.metadata, { team: 'red', session: session_id })
  assert.deepEqual([row.user_id, row.key_prefix], ['ann', flow.tenant.api_key.slice(0, 16)])
  assert.deepEqual(row.findings.map(({ action }) => action).sort(), ['REDACT', 'WARN'])

  const { api_key } = flow.tenant
  await call(api_key, chat('hello', { metadata: { session: session_id, team: 'red' } }))
  assert.deepEqual((await lastRow()).metadata, { team: 'red' }, 'a key’s caller says it is a session')
  await call(api_key, chat('hello'), { 'x-earthflow-metadata': JSON.stringify({ session: 'ses_forged' }) })
  assert.deepEqual((await lastRow()).metadata, {})
  await call(api_key, chat('hello', { metadata: { session: 'of last tuesday' } }))
  assert.deepEqual((await lastRow()).metadata, { session: 'of last tuesday' }, 'other words are theirs')
})

test('under a ritual_lock what would be warned of is cut, in calls and replies, by the same version of the policy', async () => {
  const { api_key } = flow.tenant
  const warned = await call(api_key, chat('an osprey'))
  assert.equal(warned.headers.get('x-earthflow-decision'), 'warn')
  const plain = await lastRow()
  const { token, session_id } = await made('ritual_lock')
  const cut = await call(token, chat('an osprey'))
  assert.deepEqual([cut.status, cut.headers.get('x-earthflow-decision'), told()], [200, 'redact', 'an [REDACTED]'])
  const row = await lastRow()
  assert.deepEqual(
    row.findings.map(({ action, mode, on }) => [action, mode, on]),
    [['REDACT', 'enforce', 'call']],
  )
  assert.deepEqual([row.status, row.policy_version, row.metadata, row.key_prefix], ['REDACT', plain.policy_version, { session: session_id }, session_id])

  reply = () => 'a kestrel'
  assert.equal(answered((await call(api_key, chat('hello'))).json), 'a kestrel')
  assert.equal(answered((await call(token, chat('hello'))).json), 'a [REDACTED]')
  assert.deepEqual(
    (await lastRow()).findings.map(({ action, on }) => [action, on]),
    [['REDACT', 'reply']],
  )
  reply = (said) => said
  assert.equal(answered((await call(token, chat(`call ${SSN}`))).json), `call ${SSN}`, 'what is reversible is put back')
})

test('under a ritual_lock a rule that has nothing to cut still warns, and what cannot be cut is refused', async () => {
  const { token } = await made('ritual_lock')
  const long = await call(token, chat('x'.repeat(500)))
  assert.deepEqual([long.status, long.headers.get('x-earthflow-decision')], [200, 'warn'])
  const tools = [{ type: 'function', function: { name: 'falconry', parameters: {} } }]
  assert.equal((await call(flow.tenant.api_key, chat('hello', { tools }))).status, 200)
  const { status, text } = await call(token, chat('hello', { tools }))
  assert.equal(status, 403)
  assert.match(text, /redacts stands at/)
  const row = await lastRow()
  assert.deepEqual([row.status, row.reason], ['BLOCK', 'cannot_redact'])
})

test('in a black_vault nothing is put back, and the row says nothing of the person or the session', async () => {
  const { token, session_id } = await made('black_vault')
  reply = (said) => said
  const said = { user: 'ann', metadata: { team: 'red', session: 'ses_forged' } }
  const headers = { 'x-earthflow-user': 'ann', 'x-earthflow-conversation': 'c-17', 'x-earthflow-metadata': JSON.stringify({ project: 'blue' }) }
  const { status, json } = await call(token, chat(`an osprey of ${SSN}`, said), headers)
  assert.deepEqual([status, told(), answered(json)], [200, 'an [REDACTED] of [SSN]', 'an [REDACTED] of [SSN]'])
  const row = await lastRow()
  assert.deepEqual([row.status, row.user_id, row.metadata, row.key_prefix], ['REDACT', null, {}, null])
  const text = JSON.stringify(row)
  for (const word of ['ann', 'red', 'c-17', 'blue', session_id]) assert.ok(!text.includes(`"${word}"`), word)
  const [ledger] = await flow.database.sql<{ named: string }[]>`select count(*) as named from cost_ledger where key_prefix = ${session_id}`
  assert.equal(Number(ledger.named), 0)

  assert.equal((await call(token, chat('hello', { user: 'mallory' }))).status, 403, 'rules still know who calls')
  assert.equal((await lastRow()).user_id, null)
  await call((await made('black_vault', withKey())).token, chat('hello', said), headers)
  const withOne = await lastRow()
  assert.deepEqual([withOne.key_prefix, withOne.user_id, withOne.metadata], [flow.tenant.api_key.slice(0, 16), null, {}])
})

test('in a black_vault nothing is charged to the budget of a person, which its row would name, nor is a path kept that may say who it is', async () => {
  const { tenant_id } = flow.tenant
  const budget = await flow.admin('POST', `/v1/budgets?tenant_id=${tenant_id}`, {
    scope: 'user',
    scope_id: 'ann',
    amount: 1_000_000,
    unit: 'tokens',
    window: 'day',
  })
  const { id } = budget.json as { id: string }
  const { token } = await made('black_vault')
  await call(token, chat('hello', { user: 'ann' }), { 'x-earthflow-user': 'ann' })
  assert.ok(!JSON.stringify(await lastRow()).includes(id))
  await call(token, JSON.stringify({ messages: [{ content: 'hello' }] }), {}, '/v1/customers/ann@example.com/notes')
  assert.equal((await lastRow()).endpoint, null)
  await call(flow.tenant.api_key, chat('hello', { user: 'ann' }))
  assert.ok(JSON.stringify(await lastRow()).includes(id), 'elsewhere it is charged')
  await flow.admin('DELETE', `/v1/budgets/${id}?tenant_id=${tenant_id}`)
})

test('what a person began ends when they may no more: a session does not outlive a role', async () => {
  const email = 'operator@example.com'
  const password = 'four words nobody says'
  const person = (await flow.admin('POST', '/v1/users', { email, role: 'operator', password })).json as { id: string }
  const login = (await flow.admin('POST', '/v1/auth/login', { email, password })).json as { token: string }
  const { tenant_id } = flow.tenant
  const session = await flow.admin('POST', `/v1/sessions?tenant_id=${tenant_id}`, {}, { authorization: `Bearer ${login.token}` })
  assert.equal(session.status, 201)
  const { token } = session.json as { token: string }
  assert.equal((await call(token, chat('hello'))).status, 200)
  assert.equal((await flow.admin('PATCH', `/v1/users/${person.id}`, { name: 'Another name' })).status, 200)
  assert.equal((await call(token, chat('hello'))).status, 200)
  assert.equal((await flow.admin('PATCH', `/v1/users/${person.id}`, { role: 'viewer' })).status, 200)
  assert.equal((await call(token, chat('hello'))).status, 401)
})

test('in a black_vault what would need an approval is refused for good, and says so', async () => {
  const { token } = await made('black_vault')
  const { status, headers, text } = await call(token, chat('about the merger'))
  assert.deepEqual([status, headers.get('x-earthflow-decision')], [403, 'block'])
  assert.match(text, /its session allows none/)
  assert.ok(!text.includes('APPROVAL_REQUIRED'))
  const row = await lastRow()
  assert.deepEqual([row.status, row.reason, row.outcome, row.findings.map(({ action }) => action)], ['BLOCK', 'rule', 'refused', ['ESCALATE']])
  const envelope = await call(token, JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'about the merger' }] }), {}, '/v1/proxy')
  assert.deepEqual([envelope.status, (envelope.json as { status: string }).status], [200, 'BLOCK'])
  const asks = await call(flow.tenant.api_key, chat('about the merger'))
  assert.deepEqual([asks.status, asks.headers.get('x-earthflow-decision')], [403, 'escalate'], 'a key’s call waits for somebody')
  assert.equal(flow.provider.seen.length, 0)
})

test('lock-all in one process stops the tokens in the other, also those it has in memory', async () => {
  const { token } = await made('quick_lock', withKey())
  const there = async () => (await call(token, chat('hello'), {}, '/v1/chat/completions', other)).status
  assert.equal(await there(), 200)
  const { tenant_id } = flow.tenant
  await flow.admin('POST', `/v1/sessions/lock-all?tenant_id=${tenant_id}`, { reason: 'a test' })
  assert.equal((await call(token, chat('hello'))).status, 401, 'here at once')
  await until(async () => (await there()) === 401, 'the token to be refused there although it is cached', HEARD_MAX_MS)
  const refused = await other.admin('POST', '/v1/sessions', {}, withKey())
  assert.equal(refused.status, 403)
  assert.equal((await call(flow.tenant.api_key, chat('hello'))).status, 200, 'keys go on')
  await flow.admin('POST', `/v1/sessions/unlock?tenant_id=${tenant_id}`, {})
  const fresh = await made('quick_lock', withKey())
  assert.equal((await call(fresh.token, chat('hello'))).status, 200)
})

test('a session ends with the key it was made with', async () => {
  const { tenant_id, api_key } = await flow.newTenant()
  const { token } = await made('quick_lock', { authorization: `Bearer ${api_key}` })
  assert.equal((await call(token, chat('hello'))).status, 200)
  await flow.admin('DELETE', `/v1/tenants/${tenant_id}/keys/${api_key.slice(0, 16)}`)
  assert.equal((await call(token, chat('hello'))).status, 401)
})
