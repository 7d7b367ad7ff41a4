/** Limits through the whole of Earthflow, on Redis where one can be had. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRelay } from '../db/relay.ts'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, SSE } from '../harness/provider.ts'

const redisUrl = process.env.TEST_REDIS_URL
const engines: [string, Record<string, string>][] = [
  ['in memory', {}],
  ...(redisUrl === undefined ? [] : ([['on Redis', { REDIS_URL: redisUrl }]] as [string, Record<string, string>][])),
]

for (const [engine, environment] of engines) {
  test(`limits ${engine}`, async (t) => {
    const flow = await startEarthflow({ environment })
    t.after(() => flow.close())
    const given = async (fields: Record<string, unknown>) => {
      const tenant = await flow.newTenant(fields)
      const post = (body: string, headers: Record<string, string> = {}) =>
        flow.post('/v1/chat/completions', body, { authorization: `Bearer ${tenant.api_key}`, ...headers })
      return { ...tenant, post }
    }
    t.beforeEach(() => {
      flow.provider.script = answerJson
    })

    await t.test('waiting exactly as long as retry-after-ms says succeeds, and the headers tell what is left', async () => {
      // One each two seconds, and 45 at once; a slow machine gets some more meanwhile.
      const { post } = await given({ max_requests_per_minute: 30 })
      let refused = await post(chat('x'))
      for (let more = 0; refused.status === 200 && more < 400; more++) refused = await post(chat('x'))
      assert.equal(refused.status, 429)
      const waitMs = Number(refused.headers.get('retry-after-ms'))
      assert.ok(waitMs > 0 && waitMs <= 2_000, String(waitMs))
      assert.equal(Number(refused.headers.get('retry-after')), Math.ceil(waitMs / 1000))
      assert.deepEqual([refused.headers.get('x-ratelimit-limit'), refused.headers.get('x-ratelimit-remaining')], ['30', '0'])
      await sleep(waitMs)
      assert.equal((await post(chat('x'))).status, 200)
    })

    await t.test('of 50 calls at once on tokens for five, five pass, and what is settled is exact afterwards', async () => {
      // Each reserves 5 + 95 tokens; the full bucket holds 1.5 minutes' share.
      const { post, tenant_id } = await given({ max_tokens_per_minute: 340 })
      let answered = 0
      // None of those that pass ends before the others were answered, however slow the machine.
      flow.provider.script = async (seen) => {
        await until(() => answered + flow.provider.seen.filter(({ closed }) => !closed).length >= 50, 'the others to be refused')
        answerJson(seen)
      }
      const one = async () => {
        const answer = await post(chat('sixteen letters.', { max_tokens: 95 }))
        answered++
        return answer
      }
      const passed = (await Promise.all(Array.from({ length: 50 }, one))).filter(({ status }) => status === 200).length
      // A machine so busy that Redis does not answer in time counts some by itself, and says so.
      const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${tenant_id}`)).json as { entries: { degraded: string | null; http_status: number }[] }
      const alone = entries.filter(({ degraded, http_status }) => degraded !== null && http_status === 200).length
      assert.ok(passed >= 5 && passed - alone <= 5, `${passed} passed, of which ${alone} were counted here`)
      const after = await post(chat('sixteen letters.', { max_tokens: 95 }))
      assert.equal(after.status, 200)
      // 510, less five times the ten that were used, less a hundred reserved; and what has flowed in since.
      const left = Number(after.headers.get('x-ratelimit-remaining-tokens'))
      assert.ok(alone > 0 || left === 340, `${left} of 340, which is the most that is told`)
      assert.equal(after.headers.get('x-ratelimit-limit-tokens'), '340')
    })

    await t.test('a call that asks for more tokens than the limit ever holds is 400 at once; one that does not say how much may try', async () => {
      const { post } = await given({ max_tokens_per_minute: 1_000 })
      const absurd = await post(chat('x', { max_tokens: 100_000 }))
      assert.equal(absurd.status, 400)
      assert.match(absurd.text, /max_tokens/)
      assert.equal((await post(chat('x'))).status, 200)
    })

    await t.test('no more calls are under way than the tenant may have, and one that ends makes room, however it ends', async () => {
      const { post, api_key } = await given({ max_concurrency: 2 })
      let isLet = false
      flow.provider.script = async (seen) => {
        await until(() => isLet, 'leave to answer')
        answerJson(seen)
      }
      const two = [post(chat('x')), post(chat('x'))]
      await until(async () => (await flow.openExchanges()) >= 2 && flow.provider.seen.filter(({ closed }) => !closed).length >= 2, 'both to be under way')
      const third = await post(chat('x'))
      assert.equal(third.status, 429)
      assert.match(third.text, /2 calls at once/)
      isLet = true
      assert.deepEqual(
        (await Promise.all(two)).map(({ status }) => status),
        [200, 200],
      )
      assert.equal((await post(chat('x'))).status, 200)
      // One that is hung up on.
      flow.provider.script = ({ response }) => response.writeHead(200, SSE).write(chatEvent('x'))
      for (let i = 0; i < 5; i++) {
        const socket = flow.open()
        socket.write(wire('/v1/chat/completions', api_key, chat('x', { stream: true })))
        await once(socket, 'data')
        socket.destroy()
        await until(async () => (await flow.openExchanges()) === 0, 'it to end')
      }
      flow.provider.script = answerJson
      assert.deepEqual(
        (await Promise.all([post(chat('x')), post(chat('x'))])).map(({ status }) => status),
        [200, 200],
      )
    })

    await t.test('a limit of each key, of each user and of a model hold beside the tenant’s', async () => {
      const { post, tenant_id } = await given({
        limits: { key: { max_requests_per_day: 3 }, user: { max_requests_per_day: 1 }, models: [{ model: 'small-*', max_requests_per_day: 1 }] },
      })
      const key = ((await flow.admin('POST', `/v1/tenants/${tenant_id}/keys`, {})).json as { api_key: string }).api_key
      const other = { authorization: `Bearer ${key}` }
      assert.equal((await post(chat('x', { model: 'small-1' }))).status, 200)
      const small = await post(chat('x', { model: 'small-2' }))
      assert.deepEqual([small.status, /this model’s limit of 1 requests per day/.test(small.text)], [429, true])
      assert.equal((await post(chat('x'), { 'x-earthflow-user': 'ann' })).status, 200)
      const ann = await post(chat('x'), { 'x-earthflow-user': 'ann', ...other })
      assert.deepEqual([ann.status, /this user’s limit/.test(ann.text)], [429, true])
      assert.equal((await post(chat('x'))).status, 200)
      const mine = await post(chat('x'))
      assert.deepEqual(
        [mine.status, /this key’s limit/.test(mine.text), mine.headers.get('x-should-retry')],
        [429, true, Number(mine.headers.get('retry-after')) > 60 ? 'false' : null],
      )
      assert.equal((await post(chat('x'), other)).status, 200)
    })

    await t.test('a call that a rule blocks gives its tokens back', async () => {
      const { post, tenant_id } = await given({ max_tokens_per_day: 1_000 })
      await flow.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, { name: 'no', action: 'BLOCK', condition: { operator: 'contains', value: 'falcon' } })
      for (let i = 0; i < 5; i++) assert.equal((await post(chat('falcon', { max_tokens: 900 }))).status, 403)
      assert.equal((await post(chat('x', { max_tokens: 900 }))).status, 200)
    })

    await t.test('a stream holds its permit to the end and its tokens are settled by what it said', async () => {
      const { post } = await given({ max_tokens_per_day: 1_000, max_concurrency: 1 })
      flow.provider.script = ({ response }) => response.writeHead(200, SSE).end(`${chatEvent('x'.repeat(400))}${DONE}`)
      for (let i = 0; i < 4; i++) assert.equal((await post(chat('x', { stream: true, max_tokens: 500 }))).status, 200)
      // Four times a hundred and two are used.
      assert.equal((await post(chat('x', { max_tokens: 600 }))).status, 429)
      assert.equal((await post(chat('x', { max_tokens: 500 }))).status, 200)
    })
  })
}

test('while Redis is away', { skip: redisUrl === undefined }, async (t) => {
  const relay = await startRelay(redisUrl ?? '')
  const flow: Flow = await startEarthflow({ environment: { REDIS_URL: relay.url } })
  t.after(async () => {
    await flow.close()
    await relay.close().catch(() => {})
  })
  const local = await flow.newTenant({ max_requests_per_minute: 600 })
  const strict = await flow.newTenant({ limits_without_redis: 'refuse' })
  const post = ({ api_key }: { api_key: string }) => flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${api_key}` })
  const degraded = async (tenantId: string) =>
    ((await flow.admin('GET', `/v1/audit?tenant_id=${tenantId}&limit=1`)).json as { entries: { degraded: string | null; status: string; reason: string }[] })
      .entries[0]

  await t.test('while it is there nothing says otherwise', async () => {
    assert.equal((await post(local)).status, 200)
    assert.equal((await post(strict)).status, 200)
    assert.equal((await degraded(local.tenant_id))?.degraded, null)
    assert.match((await flow.admin('GET', '/health/ready')).text, /"redis":\{"state":"ok"\}|"redis":"ok"/)
  })

  for (const [name, begin, end] of [
    ['it hangs', async () => relay.freeze(), async () => relay.thaw()],
    ['it is gone', () => relay.cut(), () => relay.restore()],
  ] as const) {
    await t.test(`${name}: calls are counted here and say so, or refused with 503 where the tenant wants that, and both end with it`, async () => {
      await begin()
      for (let i = 0; i < 3; i++) assert.equal((await post(local)).status, 200)
      assert.equal((await degraded(local.tenant_id))?.degraded, 'limits_local')
      const refused = await post(strict)
      assert.deepEqual([refused.status, refused.headers.has('retry-after')], [503, true])
      const row = await degraded(strict.tenant_id)
      assert.deepEqual([row?.status, row?.reason], ['REJECTED', 'unavailable'])
      const ready = await flow.admin('GET', '/health/ready')
      assert.deepEqual([ready.status, /degraded/.test(ready.text)], [200, true])
      await end()
      await until(async () => (await post(strict)).status === 200, 'Redis to be used again')
      await until(async () => (await post(local)).status === 200 && (await degraded(local.tenant_id))?.degraded === null, 'rows without a mark')
    })
  }
})

let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.script = answerJson
})

test('an agent’s calls are its own: limits, models, budget and the row', async () => {
  const tenant = await flow.newTenant({ allowed_models: ['m', 'n'] })
  const at = `?tenant_id=${tenant.tenant_id}`
  const made = await flow.admin('POST', `/v1/agents${at}`, { name: 'crawler', allowed_models: ['m'], limits: { max_requests_per_day: 2 } })
  assert.equal(made.status, 201, made.text)
  const { id } = made.json as { id: string }
  const { api_key } = (await flow.admin('POST', `/v1/tenants/${tenant.tenant_id}/keys`, { agent_id: id })).json as { api_key: string }
  const post = (body: string) => flow.post('/v1/chat/completions', body, { authorization: `Bearer ${api_key}` })
  const other = await post(chat('x', { model: 'n' }))
  assert.deepEqual([other.status, /This agent may not use this model/.test(other.text)], [403, true])
  assert.deepEqual([(await post(chat('x'))).status, (await post(chat('x'))).status], [200, 200])
  const third = await post(chat('x'))
  assert.deepEqual([third.status, /this agent’s limit/.test(third.text)], [429, true])
  const { entries } = (await flow.admin('GET', `/v1/audit${at}&agent=${id}`)).json as { entries: { agent_id: string }[] }
  assert.equal(entries.length, 4)
})

test('a quarantined agent gets 403 until it is released; one that is blocked too often quarantines itself', async () => {
  const tenant = await flow.newTenant()
  const at = `?tenant_id=${tenant.tenant_id}`
  await flow.admin('POST', `/v1/rules${at}`, { name: 'no', action: 'BLOCK', condition: { operator: 'contains', value: 'falcon' } })
  const { id } = (await flow.admin('POST', `/v1/agents${at}`, { name: 'crawler', quarantine: { blocks: 3, window_seconds: 600 } })).json as { id: string }
  const { api_key } = (await flow.admin('POST', `/v1/tenants/${tenant.tenant_id}/keys`, { agent_id: id })).json as { api_key: string }
  const post = (body: string) => flow.post('/v1/chat/completions', body, { authorization: `Bearer ${api_key}` })
  assert.equal((await post(chat('x'))).status, 200)
  assert.equal((await flow.admin('POST', `/v1/quarantine${at}`, { agent_id: id, reason: 'to be looked at' })).status, 201)
  const refused = await post(chat('x'))
  assert.deepEqual([refused.status, refused.headers.get('x-should-retry'), /quarantined/.test(refused.text)], [403, 'false', true])
  assert.ok([200, 204].includes((await flow.admin('POST', `/v1/quarantine/${id}/release${at}`, { comment: 'fine' })).status))
  assert.equal((await post(chat('x'))).status, 200)
  for (let i = 0; i < 4; i++) assert.equal((await post(chat('falcon'))).status, 403)
  await until(async () => /quarantined/.test((await post(chat('x'))).text), 'it to be quarantined by itself')
  const { quarantines } = (await flow.admin('GET', `/v1/quarantine${at}`)).json as { quarantines: { reason: string; created_by: string }[] }
  assert.match(quarantines[0]?.reason ?? '', /blocked/)
  assert.equal(quarantines[0]?.created_by, 'system')
  const { entries } = (await flow.admin('GET', `/v1/audit${at}&kind=change`)).json as { entries: { reason: string }[] }
  assert.deepEqual(
    entries.map(({ reason }) => reason).filter((reason) => /agent\.(?:quarantine|release)/.test(reason)),
    ['agent.quarantine', 'agent.release', 'agent.quarantine'],
  )
})
