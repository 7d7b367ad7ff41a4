/** Calls that a person has to decide about, as the official client libraries see them, in one process and in two, and over a restart. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { ApiError, GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { expireLate } from '../../src/escalations/expire.ts'
import { openLog } from '../../src/verify/open-log.ts'
import { recordsIn } from '../../src/verify/read-records.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { canaries } from '../harness/canaries.ts'
import type { Tenant } from '../harness/client.ts'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson, startProvider } from '../harness/provider.ts'

const rule = { name: 'ask first', action: 'ESCALATE', condition: { operator: 'contains', value: 'wire the money' } }
const HEADER = 'x-earthflow-approval-id'

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

/** With a rule for people, whose calls wait so long. */
async function newTenant(waitSeconds: number, flow = one): Promise<Tenant> {
  const tenant = await flow.newTenant({ escalation_wait_seconds: waitSeconds })
  const { status } = await flow.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, rule)
  assert.equal(status, 201)
  return tenant
}

let prompts = 0
/** What no test has said before. */
const newPrompt = (): string => {
  const prompt = `please wire the money to the heron of pond number ${++prompts}`
  canaries.prompt(prompt)
  return prompt
}

interface Escalation {
  id: string
  status: string
  audit_id: string
  request_id: string
}
const list = async (flow: Flow, { tenant_id }: Tenant, query = ''): Promise<Escalation[]> =>
  ((await flow.admin('GET', `/v1/escalations?tenant_id=${tenant_id}${query}`)).json as { escalations: Escalation[] }).escalations
/** The one that waits. */
async function pending(flow: Flow, tenant: Tenant): Promise<Escalation> {
  let found: Escalation[] = []
  await until(async () => (found = await list(flow, tenant, '&status=pending')).length > 0, 'a call to wait')
  assert.equal(found.length, 1)
  return found[0]
}
async function decide(flow: Flow, id: string, verb: 'approve' | 'deny'): Promise<void> {
  const { status, text } = await flow.admin('POST', `/v1/escalations/${id}/${verb}`, { comment: 'I have looked at it.' })
  assert.equal(status, 200, text)
}
const rowsOf = async (flow: Flow, { tenant_id }: Tenant) =>
  ((await flow.admin('GET', `/v1/audit?tenant_id=${tenant_id}`)).json as { entries: Awaited<ReturnType<Flow['rows']>> }).entries

/** A call with an official library; `approval` is sent as the header. */
interface Sdk {
  name: string
  ask(flow: Flow, key: string, prompt: string, approval?: string): Promise<string>
  stream(flow: Flow, key: string, prompt: string, approval?: string): Promise<string>
  isPermissionError(error: unknown): boolean
}
const headersOf = (approval: string | undefined) => (approval === undefined ? {} : { [HEADER]: approval })
const user = (content: string) => [{ role: 'user' as const, content }]

const openai = (flow: Flow, apiKey: string) => new OpenAI({ apiKey, baseURL: `${flow.origin}/v1` })
const anthropic = (flow: Flow, apiKey: string) => new Anthropic({ apiKey, baseURL: flow.origin })
const gemini = (flow: Flow, apiKey: string, approval?: string) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: flow.origin, headers: headersOf(approval) } })

const sdks: readonly Sdk[] = [
  {
    name: 'openai',
    async ask(flow, key, prompt, approval) {
      const { choices } = await openai(flow, key).chat.completions.create({ model: 'sandbox', messages: user(prompt) }, { headers: headersOf(approval) })
      return choices[0].message.content ?? ''
    },
    async stream(flow, key, prompt, approval) {
      let text = ''
      const chunks = await openai(flow, key).chat.completions.create(
        { model: 'sandbox', messages: user(prompt), stream: true },
        { headers: headersOf(approval) },
      )
      for await (const { choices } of chunks) text += choices[0]?.delta.content ?? ''
      return text
    },
    isPermissionError: (error) => error instanceof OpenAI.PermissionDeniedError && error.status === 403 && error.code === 'approval_required',
  },
  {
    name: 'anthropic',
    async ask(flow, key, prompt, approval) {
      const body = { model: 'sandbox', max_tokens: 100, messages: user(prompt) }
      const { content } = await anthropic(flow, key).messages.create(body, { headers: headersOf(approval) })
      return content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    },
    stream: (flow, key, prompt, approval) =>
      anthropic(flow, key)
        .messages.stream({ model: 'sandbox', max_tokens: 100, messages: user(prompt) }, { headers: headersOf(approval) })
        .finalText(),
    isPermissionError: (error) => error instanceof Anthropic.PermissionDeniedError && error.status === 403,
  },
  {
    name: 'genai',
    ask: async (flow, key, prompt, approval) => (await gemini(flow, key, approval).models.generateContent({ model: 'sandbox', contents: prompt })).text ?? '',
    async stream(flow, key, prompt, approval) {
      let text = ''
      for await (const chunk of await gemini(flow, key, approval).models.generateContentStream({ model: 'sandbox', contents: prompt })) text += chunk.text ?? ''
      return text
    },
    isPermissionError: (error) => error instanceof ApiError && error.status === 403,
  },
]

/** The library raises its permission error, and nothing else. */
const isRefused = ({ isPermissionError }: Sdk, work: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(work, (error: Error) => {
    assert.ok(isPermissionError(error), `${error.constructor.name}: ${error.message}`)
    assert.match(error.message, message)
    return true
  })

for (const sdk of sdks) {
  test(`${sdk.name}: a call that waits is answered once it is approved, streamed too, and its row says who approved it`, async () => {
    const tenant = await newTenant(60)
    for (const way of ['ask', 'stream'] as const) {
      const prompt = newPrompt()
      const answer = sdk[way](one, tenant.api_key, prompt)
      const { id } = await pending(one, tenant)
      await decide(one, id, 'approve')
      assert.equal(await answer, `You said: ${prompt}`)
      const [row, ...more] = await rowsOf(one, tenant)
      assert.deepEqual(
        [row.status, row.outcome, row.http_status, row.stream, row.escalation_id, row.approved_by, row.held_audit_id],
        ['ESCALATE', 'completed', 200, way === 'stream', id, 'admin', null],
      )
      assert.equal(more.length, way === 'ask' ? 0 : 1, 'one row')
    }
  })

  test(`${sdk.name}: what is denied, or decided by nobody in time, raises the permission error`, async () => {
    const tenant = await newTenant(60)
    for (const way of ['ask', 'stream'] as const) {
      const answer = isRefused(sdk, sdk[way](one, tenant.api_key, newPrompt()), /It was denied/)
      await decide(one, (await pending(one, tenant)).id, 'deny')
      await answer
    }
    const late = isRefused(sdk, sdk.ask(one, tenant.api_key, newPrompt()), /in time/)
    const { id } = await pending(one, tenant)
    await one.database.sql`update escalations set expires_at = now() - interval '1 second' where id = ${id}`
    await expireLate(one.database.db, async () => {})
    await late
    const rows = await rowsOf(one, tenant)
    for (const row of rows) assert.deepEqual([row.status, row.outcome, row.http_status, row.approved_by], ['ESCALATE', 'refused', 403, null])
    assert.equal(rows[0].escalation_id, id)
  })

  test(`${sdk.name}: the same call sent again with its approval passes once; altered or replayed it raises the permission error`, async () => {
    const tenant = await newTenant(0)
    for (const way of ['ask', 'stream'] as const) {
      const prompt = newPrompt()
      const send = (text = prompt, approval?: string) => sdk[way](one, tenant.api_key, text, approval)
      await isRefused(sdk, send(), /send exactly this call again with the header x-earthflow-approval-id: esc_/)
      const { id, audit_id } = await pending(one, tenant)
      await isRefused(sdk, send(prompt, id), /Nobody has decided/)
      await decide(one, id, 'approve')
      await isRefused(sdk, send(), /It is approved/)
      await isRefused(sdk, send(`${prompt}!`, id), /no approval of exactly this call/)
      assert.equal(await send(prompt, id), `You said: ${prompt}`)
      await isRefused(sdk, send(prompt, id), /used already/)
      const [, row] = await rowsOf(one, tenant)
      assert.deepEqual([row.status, row.outcome, row.escalation_id, row.approved_by, row.held_audit_id], ['ESCALATE', 'completed', id, 'admin', audit_id])
      await isRefused(sdk, send(), /Nobody has decided/)
      await decide(one, (await pending(one, tenant)).id, 'deny')
    }
  })
}

const [library] = sdks

test('a call that waits in one process is decided in the other', async () => {
  const tenant = await newTenant(60)
  const prompts = [newPrompt(), newPrompt()]
  const approved = library.stream(one, tenant.api_key, prompts[0])
  await decide(other, (await pending(other, tenant)).id, 'approve')
  assert.equal(await approved, `You said: ${prompts[0]}`)
  const denied = isRefused(library, library.ask(other, tenant.api_key, prompts[1]), /denied/)
  await decide(one, (await pending(one, tenant)).id, 'deny')
  await denied
})

test('of identical calls that wait in two processes one uses the approval, and the other is told so', async () => {
  const tenant = await newTenant(60)
  const prompt = newPrompt()
  const answers = [one, other].map((flow) =>
    library.ask(flow, tenant.api_key, prompt).then(
      (text) => text,
      (error: Error) => (library.isPermissionError(error) ? error.message : Promise.reject(error)),
    ),
  )
  const { id } = await pending(one, tenant)
  await until(async () => (await one.openExchanges()) + (await other.openExchanges()) === 2, 'both to wait')
  await decide(one, id, 'approve')
  const texts = (await Promise.all(answers)).sort()
  assert.match(texts[0], /used already/)
  assert.equal(texts[1], `You said: ${prompt}`)
})

test('a call that was refused with an id passes once after a restart', async () => {
  const first = await startEarthflow({ databaseUrl: one.databaseUrl })
  const tenant = await newTenant(0)
  const prompt = newPrompt()
  await isRefused(library, library.ask(first, tenant.api_key, prompt), /Nobody has decided/)
  const { id } = await pending(one, tenant)
  await first.close()
  const next = await startEarthflow({ databaseUrl: one.databaseUrl })
  try {
    await decide(next, id, 'approve')
    assert.equal(await library.ask(next, tenant.api_key, prompt, id), `You said: ${prompt}`)
    await isRefused(library, library.ask(next, tenant.api_key, prompt, id), /used already/)
  } finally {
    await next.close()
  }
})

test('a call that a restart finds waiting is told so at once, and uses its approval when it is sent again', async () => {
  const first = await startEarthflow({ databaseUrl: one.databaseUrl })
  const tenant = await newTenant(60)
  const prompt = newPrompt()
  const cut = assert.rejects(
    new OpenAI({ apiKey: tenant.api_key, baseURL: `${first.origin}/v1`, maxRetries: 0 }).chat.completions.create({ model: 'sandbox', messages: user(prompt) }),
    OpenAI.PermissionDeniedError,
  )
  const { id, audit_id } = await pending(one, tenant)
  await first.close()
  await cut
  await decide(one, id, 'approve')
  assert.equal(await library.ask(other, tenant.api_key, prompt), `You said: ${prompt}`)
  const rows = await rowsOf(other, tenant)
  assert.deepEqual(
    rows.map(({ outcome, escalation_id, approved_by, held_audit_id }) => [outcome, escalation_id, approved_by, held_audit_id]),
    [
      ['completed', id, 'admin', audit_id],
      ['refused', id, null, null],
    ],
  )
})

test('a change of the rules voids what was approved before it', async () => {
  const tenant = await newTenant(0)
  const prompt = newPrompt()
  await isRefused(library, library.ask(one, tenant.api_key, prompt), /Nobody has decided/)
  const { id } = await pending(one, tenant)
  await decide(one, id, 'approve')
  await one.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, { name: 'other', action: 'WARN', condition: { operator: 'contains', value: 'weather' } })
  await isRefused(library, library.ask(one, tenant.api_key, prompt, id), /no approval of exactly this call/)
})

test('BLOCK blocks what was approved, and a call that needs no approval passes whatever it names', async () => {
  const tenant = await newTenant(0)
  await one.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, {
    name: 'never',
    action: 'BLOCK',
    condition: { operator: 'contains', value: 'to the wolf' },
  })
  const blocked = `${newPrompt()} and to the wolf`
  await assert.rejects(library.ask(one, tenant.api_key, blocked, 'esc_00000000000000000000000000'), /Blocked by policy: 'never'/)
  assert.equal(await library.ask(one, tenant.api_key, 'Good morning', 'esc_00000000000000000000000000'), 'You said: Good morning')
})

test('the envelope tells the id of the approval, and the provider never sees the header that names it', async () => {
  const tenant = await newTenant(0)
  const prompt = newPrompt()
  const seen = one.provider.seen.length
  const post = (headers: Record<string, string> = {}) =>
    one.post('/v1/proxy', JSON.stringify({ model: 'gpt-5', messages: user(prompt) }), { authorization: `Bearer ${tenant.api_key}`, ...headers })
  const refused = await post()
  const { id } = await pending(one, tenant)
  const told = refused.json as Record<string, unknown>
  assert.deepEqual([refused.status, refused.headers.get(HEADER), told.status, told.approval_id, told.forwarded], [200, id, 'ESCALATE', id, false])
  await decide(one, id, 'approve')
  const passed = (await post({ [HEADER]: id })).json as Record<string, unknown>
  assert.deepEqual([passed.status, passed.approval_id, passed.forwarded], ['ESCALATE', id, true])
  assert.equal(one.provider.seen.length, seen + 1)
  assert.equal(one.provider.seen.at(-1)?.request.headers[HEADER], undefined)
})

test('an arbiter is shown the texts and what rules found in them, and the log that tells of it verifies', async () => {
  const tenant = await newTenant(0)
  const prompt = `Dear \u{1F426}, ${newPrompt()}`
  await isRefused(library, library.ask(one, tenant.api_key, prompt), /Nobody has decided/)
  const { id } = await pending(one, tenant)
  const { content } = (await one.admin('GET', `/v1/escalations/${id}/content`)).json as {
    content: { path: string; body: string; texts: { where: string; text: string; spans: { start: number; end: number; rule_name: string }[] }[] }
  }
  assert.deepEqual([content.path, JSON.parse(content.body)], ['/v1/chat/completions', { model: 'sandbox', messages: user(prompt) }])
  const found = content.texts.find(({ spans }) => spans.length > 0)
  assert.deepEqual([found?.where, found?.text], ['messages[0].content', prompt])
  assert.deepEqual(
    found?.spans.map(({ start, end, rule_name }) => [prompt.slice(start, end), rule_name]),
    [['wire the money', 'ask first']],
  )
  await decide(one, id, 'approve')
  await library.ask(one, tenant.api_key, prompt, id)
  await rowsOf(one, tenant)
  const csv = (await one.admin('GET', `/v1/audit/export?tenant_id=${tenant.tenant_id}&format=csv`)).text
  assert.match(csv.split('\r\n')[0], /escalation_id,approved_by,held_audit_id$/)
  assert.ok(csv.includes(`,${id},admin,`))
  const actions = ((await one.admin('GET', `/v1/audit?tenant_id=${tenant.tenant_id}&kind=change`)).json as { entries: { reason: string }[] }).entries.map(
    ({ reason }) => reason,
  )
  assert.ok(actions.includes('escalation.look') && actions.includes('escalation.approve'))
  const { database, keys } = await openLog(one.config, null)
  await database.close()
  const lines = Buffer.from((await one.admin('GET', '/v1/audit/export?complete=true')).text)
  assert.ok(lines.includes(`"approved_by":"admin"`))
  assert.deepEqual((await verifyLog(recordsIn(Readable.from([lines])), { keys })).problems, [])
})

test('a call that was held goes to nobody who was changed while it waited', async () => {
  const tenant = await newTenant(60)
  const provider = await startProvider(answerJson)
  await one.addUpstream({ name: 'moves', dialects: ['openai-chat'], base_url: `${provider.origin}/v1`, models: ['moves'], region: 'eu' })
  assert.equal((await one.admin('PATCH', `/v1/tenants/${tenant.tenant_id}`, { allowed_regions: ['eu'] })).status, 200)
  const call = one.post('/v1/chat/completions', chat(newPrompt(), { model: 'moves' }), { authorization: `Bearer ${tenant.api_key}` })
  const { id } = await pending(one, tenant)
  assert.equal((await one.admin('PATCH', '/v1/upstreams/moves', { region: 'us', credential: 'sk-another-one-of-the-provider' })).status, 200)
  await one.admin('POST', `/v1/escalations/${id}/approve?tenant_id=${tenant.tenant_id}`, {})
  const { status } = await call
  provider.close()
  assert.deepEqual([status === 403 || status === 503, provider.seen.length], [true, 0], String(status))
})
