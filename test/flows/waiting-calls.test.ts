/** What becomes of a call that waits for a person, and of its approval, when something else happens meanwhile. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { announce } from '../../src/db/changes.ts'
import { sql } from '../../src/db/drizzle.ts'
import { createBareServerDatabase } from '../db/engines.ts'
import { canaries } from '../harness/canaries.ts'
import type { Tenant } from '../harness/client.ts'
import { type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { freePort } from '../services/server-process.ts'

const rule = { name: 'ask first', action: 'ESCALATE', condition: { operator: 'contains', value: 'wire the money' } }
const HEADER = 'x-earthflow-approval-id'

type Server = Pick<Flow, 'admin' | 'post' | 'newTenant'>
let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())

async function newTenant(waitSeconds: number, server: Server = flow): Promise<Tenant> {
  const tenant = await server.newTenant({ escalation_wait_seconds: waitSeconds })
  assert.equal((await server.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, rule)).status, 201)
  return tenant
}

let prompts = 0
function newPrompt(): string {
  const prompt = `please wire the money to the bittern of reed bed number ${++prompts}`
  canaries.prompt(prompt)
  return prompt
}
const bodyOf = (prompt: string, model: string): string => JSON.stringify({ model, messages: [{ role: 'user', content: prompt }] })
const send = (key: string, prompt = newPrompt(), headers: Record<string, string> = {}, path = '/v1/chat/completions', server: Server = flow) =>
  server.post(path, bodyOf(prompt, path.startsWith('/u/own/') ? 'own-1' : 'gpt-5'), { authorization: `Bearer ${key}`, ...headers })

interface Escalation {
  id: string
  audit_id: string
}
/** The one that waits. */
async function pending({ tenant_id }: Tenant, server: Server = flow): Promise<Escalation> {
  let found: Escalation[] = []
  const path = `/v1/escalations?status=pending&tenant_id=${tenant_id}`
  await until(async () => (found = ((await server.admin('GET', path)).json as { escalations: Escalation[] }).escalations).length === 1, 'a call to wait')
  return found[0]
}
const approve = async (id: string, server: Server = flow): Promise<void> =>
  assert.equal((await server.admin('POST', `/v1/escalations/${id}/approve`, {})).status, 200)
/** As if somebody had approved a moment before something was taken from the caller. */
const approveAnyway = (id: string): Promise<void> =>
  flow.database.db.transaction(async (tx) => {
    await tx.execute(sql`update escalations set status = 'approved', content = null, decided_at = now(), decided_by = 'admin' where id = ${id}`)
    await announce(tx, 'escalations', null)
  })
const isUsed = async (id: string): Promise<boolean> => (await flow.database.sql`select used_at from escalations where id = ${id}`)[0].used_at !== null
const done = async (work: ReturnType<Flow['admin']>): Promise<unknown> => {
  const answer = await work
  assert.ok(answer.status < 300, answer.text)
  return answer.status === 204 ? null : answer.json
}

/** What can be taken from a caller, and what the call is told that waited meanwhile. */
const taken: Record<string, { take(tenant: Tenant, agentId: string, prefix: string): Promise<unknown>; status: number; told: RegExp }> = {
  'its key': {
    take: ({ tenant_id }, _, prefix) => done(flow.admin('DELETE', `/v1/tenants/${tenant_id}/keys/${prefix}`)),
    status: 401,
    told: /not valid/,
  },
  'its tenant': { take: ({ tenant_id }) => done(flow.admin('PATCH', `/v1/tenants/${tenant_id}`, { active: false })), status: 401, told: /not valid/ },
  'its agent': { take: ({ tenant_id }, id) => done(flow.admin('DELETE', `/v1/agents/${id}?tenant_id=${tenant_id}`)), status: 401, told: /not valid/ },
  'the trust in its agent': {
    take: ({ tenant_id }, agent_id) => done(flow.admin('POST', `/v1/quarantine?tenant_id=${tenant_id}`, { agent_id, reason: 'to be looked at' })),
    status: 403,
    told: /quarantined/,
  },
  'its address': {
    take: ({ tenant_id }, _, prefix) => done(flow.admin('PATCH', `/v1/tenants/${tenant_id}/keys/${prefix}`, { allowed_addresses: ['192.0.2.1'] })),
    status: 403,
    told: /from this address/,
  },
  'its model': {
    take: ({ tenant_id }) => done(flow.admin('PATCH', `/v1/tenants/${tenant_id}`, { allowed_models: ['other-*'] })),
    status: 403,
    told: /may not use this model/,
  },
}

for (const [what, { take, status, told }] of Object.entries(taken)) {
  test(`a call from whose caller ${what} is taken while it waits is refused like any other of it, and its approval stays unused`, async () => {
    const tenant = await newTenant(60)
    const { id: agentId } = (await done(flow.admin('POST', `/v1/agents?tenant_id=${tenant.tenant_id}`, { name: 'bot' }))) as { id: string }
    const key = (await done(flow.admin('POST', `/v1/tenants/${tenant.tenant_id}/keys`, { agent_id: agentId }))) as { api_key: string; prefix: string }
    const seen = flow.provider.seen.length
    const waiting = send(key.api_key)
    const { id } = await pending(tenant)
    await take(tenant, agentId, key.prefix)
    await approveAnyway(id)
    const answer = await waiting
    assert.deepEqual([answer.status, answer.headers.get(HEADER)], [status, null], answer.text)
    assert.match(answer.text, told)
    assert.deepEqual([await isUsed(id), flow.provider.seen.length], [false, seen])
  })
}

test('a call whose session is ended while it waits is told so, and what is approved afterwards is not used for it', async () => {
  const tenant = await newTenant(60)
  const made = await flow.admin('POST', '/v1/sessions', { profile: 'quick_lock' }, { authorization: `Bearer ${tenant.api_key}` })
  const { session_id, token } = made.json as { session_id: string; token: string }
  const seen = flow.provider.seen.length
  const waiting = send(token)
  const { id } = await pending(tenant)
  await done(flow.admin('DELETE', `/v1/sessions/${session_id}?tenant_id=${tenant.tenant_id}`))
  const answer = await waiting
  assert.equal(answer.status, 401)
  assert.match(answer.text, /session .* was ended/)
  await approve(id)
  assert.deepEqual([await isUsed(id), flow.provider.seen.length], [false, seen])
})

test('an approval of which nothing came is there for the attempt that a library makes by itself', async () => {
  const tenant = await newTenant(60)
  const port = await freePort()
  await flow.addUpstream({ name: 'late', dialects: ['openai-chat'], base_url: `http://127.0.0.1:${port}/v1`, models: ['late-*'] })
  const late: { close(): void }[] = []
  const statuses: number[] = []
  const client = new OpenAI({
    apiKey: tenant.api_key,
    baseURL: `${flow.origin}/u/late/v1`,
    async fetch(url, init) {
      const answer = await fetch(url, init)
      statuses.push(answer.status)
      if (late.length === 0) late.push(await startProvider(undefined, port))
      return answer
    },
  })
  try {
    const call = client.chat.completions.create({ model: 'late-1', messages: [{ role: 'user', content: newPrompt() }] })
    const { id, audit_id } = await pending(tenant)
    await approve(id)
    assert.equal((await call).choices[0].message.content, 'Hi')
    assert.deepEqual([statuses, await isUsed(id)], [[502, 200], true])
    const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${tenant.tenant_id}`)).json as { entries: Awaited<ReturnType<Flow['rows']>> }
    assert.deepEqual(
      entries.map(({ outcome, escalation_id, approved_by, held_audit_id }) => [outcome, escalation_id, approved_by, held_audit_id]),
      [
        ['completed', id, 'admin', audit_id],
        ['failed', id, 'admin', null],
      ],
    )
  } finally {
    for (const provider of late) provider.close()
  }
})

test('a call that lacked the provider’s credential passes with its approval once it has that; one that was answered has used it', async () => {
  const tenant = await newTenant(0)
  const upstream = {
    dialects: ['openai-chat'],
    base_url: `${flow.provider.origin}/v1`,
    credential: undefined,
    credential_mode: 'passthrough',
    models: ['own-*'],
  }
  await flow.addUpstream({ ...upstream, name: 'own' })
  const prompt = newPrompt()
  const path = '/u/own/v1/chat/completions'
  const key = { 'x-earthflow-key': tenant.api_key, authorization: '' }
  await send('', prompt, key, path)
  const { id } = await pending(tenant)
  await approve(id)
  const without = await send('', prompt, { ...key, [HEADER]: id }, path)
  assert.deepEqual([without.status, await isUsed(id)], [401, false], without.text)
  const own = { ...key, authorization: 'Bearer sk-of-its-own-0123456789', [HEADER]: id }
  assert.equal((await send('', prompt, own, path)).status, 200)
  assert.match((await send('', prompt, own, path)).text, /used already/)
})

test('a process that is asked to end tells a call that waits in it the id at once, and the approval counts at the next', { timeout: 120_000 }, async () => {
  const database = await createBareServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const start = () => startProcess(installation, () => tenant)
  let server = await start()
  try {
    tenant = await newTenant(120, server)
    await server.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const prompt = newPrompt()
    const told = send(tenant.api_key, prompt, {}, undefined, server)
    const { id } = await pending(tenant, server)
    await until(async () => (await server.openExchanges()) === 1, 'it to wait')
    await server.kill('SIGTERM')
    const refused = await told
    assert.deepEqual([refused.status, refused.text.includes(id)], [403, true], refused.text)
    server = await start()
    await approve(id, server)
    assert.equal((await send(tenant.api_key, prompt, { [HEADER]: id }, undefined, server)).status, 200)
  } finally {
    if (server.isAlive()) await server.kill('SIGKILL')
    provider.close()
    installation.remove()
    await database.drop()
  }
})

test('a process that is killed while a call waits in it leaves its row, which the escalation names', { timeout: 120_000 }, async () => {
  const database = await createBareServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const start = () => startProcess(installation, () => tenant)
  let server = await start()
  try {
    tenant = await newTenant(60, server)
    await server.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const cut = assert.rejects(send(tenant.api_key, newPrompt(), {}, undefined, server))
    const { id, audit_id } = await pending(tenant, server)
    await until(async () => (await server.openExchanges()) === 1, 'it to wait')
    await server.kill('SIGKILL')
    await cut
    server = await start()
    const [row, ...more] = await server.rowsOf(1)
    assert.deepEqual([row.audit_id, row.status, row.outcome, row.escalation_id, row.usage, more.length], [audit_id, 'ESCALATE', 'unknown', id, null, 0])
    assert.equal(provider.seen.length, 0)
  } finally {
    if (server.isAlive()) await server.kill('SIGKILL')
    provider.close()
    installation.remove()
    await database.drop()
  }
})
