import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { test } from 'node:test'
import postgres from 'postgres'
import { createDrain, type Lead } from '../../src/drain.ts'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, type Script, SSE } from '../harness/provider.ts'

const isStream = (body: Buffer): boolean => body.includes('"stream":true')
/** A stream begins, and goes on when the test says so. */
const script: Script = (seen) => {
  if (!isStream(seen.body)) return answerJson(seen)
  seen.response.writeHead(200, SSE)
  seen.response.write(chatEvent('begun'))
}

async function stream(flow: Flow, name: string) {
  const answer = await fetch(`${flow.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${flow.tenant.api_key}`, 'content-type': 'application/json' },
    body: chat(name, { stream: true }),
  })
  assert.equal(answer.status, 200)
  const reader = answer.body?.getReader() ?? assert.fail('no body')
  const first = Buffer.from((await reader.read()).value ?? []).toString()
  assert.match(first, /begun/)
  const rest = async (): Promise<string> => {
    let text = first
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += Buffer.from(part.value).toString()
    return text
  }
  const upstream = flow.provider.seen.find(({ body }) => body.includes(name)) ?? assert.fail('the provider was not asked')
  return { requestId: answer.headers.get('x-earthflow-request-id') ?? '', text: rest(), upstream }
}

/** Read behind its back: it has stopped. */
async function outcomes(flow: Flow): Promise<Map<string, string>> {
  const sql = postgres(flow.databaseUrl, { max: 1, onnotice: () => {} })
  try {
    const rows = await sql<{ request_id: string; outcome: string }[]>`select request_id, outcome from audit_entries where kind = 'exchange'`
    assert.equal(rows.length, new Set(rows.map(({ request_id }) => request_id)).size, 'each once')
    return new Map(rows.map(({ request_id, outcome }) => [request_id, outcome]))
  } finally {
    await sql.end()
  }
}

/** Over the agent's one connection. */
const get = (flow: Flow, path: string, agent: Agent): Promise<{ status: number; connection: string; text: string }> =>
  new Promise((resolve, reject) => {
    request(`${flow.origin}${path}`, { agent }, (answer) => {
      let text = ''
      answer
        .on('data', (chunk) => (text += String(chunk)))
        .on('end', () => resolve({ status: answer.statusCode ?? 0, connection: answer.headers.connection ?? '', text }))
    })
      .on('error', reject)
      .end()
  })

/** A process that drains for five minutes of a time of its own: what becomes of it, and when in milliseconds. */
function drainOf() {
  const parts = { time: 0, open: 1, isEmpty: Promise.withResolvers<void>(), seen: [] as string[], at: new Map<number, () => void>() }
  const saw = (what: string): void => void (parts.seen.at(-1)?.startsWith(what) || parts.seen.push(`${what} ${parts.time}`))
  const drain = createDrain({
    door: {
      announceClose() {},
      close() {
        saw('closed')
        return parts.isEmpty.promise
      },
      closeAllConnections() {
        saw('connections cut')
        parts.isEmpty.resolve()
      },
    },
    open: () => parts.open,
    cutAll: () => saw('calls cut'),
    stopWaiting: () => saw('waiting over'),
    drainMs: 300_000,
    now: () => parts.time,
    async sleep(ms) {
      parts.time += ms
      parts.at.get(parts.time)?.()
    },
  })
  return Object.assign(parts, { run: (lead: Lead, hurry = new AbortController().signal) => drain.run(lead, hurry) })
}

test('where others serve on a call may wait for a person for as long as calls may take, and is told to come back before it would be cut', async () => {
  const drain = drainOf()
  drain.at.set(200_000, () => {
    assert.deepEqual(drain.seen, ['closed 0'])
    drain.open = 0 // it was approved
    drain.isEmpty.resolve()
  })
  await drain.run('closed')
  assert.equal(drain.time, 200_000)

  const undecided = drainOf()
  undecided.at.set(299_500, () => (undecided.open = 0))
  await undecided.run('closed')
  assert.deepEqual(undecided.seen.slice(0, 2), ['closed 0', 'waiting over 299000'])
  assert.doesNotMatch(undecided.seen.join(), /calls cut/)
})

test('where nobody can decide any more it need not wait, nor where somebody is in a hurry', async () => {
  for (const [lead, ms] of [
    ['none', 0],
    ['accepting', 5_000],
  ] as const) {
    const drain = drainOf()
    await drain.run(lead)
    assert.deepEqual(drain.seen.slice(0, 3), [`closed ${ms}`, `waiting over ${ms}`, `calls cut ${ms + 300_000}`])
  }
  const hurried = drainOf()
  await hurried.run('closed', AbortSignal.abort())
  assert.deepEqual(hurried.seen.slice(0, 3), ['closed 0', 'waiting over 0', 'calls cut 0'])
})

test('an answer that is no call, like a file that is fetched, may take as long as calls may; without them less, where nobody waits for balancers', async () => {
  for (const [lead, ms] of [
    ['closed', 300_000],
    ['accepting', 305_000],
    ['none', 5_000],
  ] as const) {
    const drain = drainOf()
    drain.open = 0
    await drain.run(lead)
    assert.equal(drain.seen.at(-1), `connections cut ${ms}`)
  }
  const afterCalls = drainOf()
  await afterCalls.run('closed')
  assert.equal(afterCalls.seen.at(-1), 'connections cut 315000', 'at least ten seconds after the last call')
})

test('a process that is told to stop says so and goes on accepting; then streams that can end do, and one that cannot is told, in an event and in its row', async (t) => {
  const flow = await startEarthflow({ script })
  t.after(() => flow.close())
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  assert.equal((await get(flow, '/health/ready', agent)).connection, 'keep-alive')
  const [ending, endless] = [await stream(flow, 'ending'), await stream(flow, 'endless')]
  const stopped = flow.stop(new AbortController().signal, 'accepting')

  const ready = await get(flow, '/health/ready', agent)
  assert.deepEqual([ready.status, ready.connection, JSON.parse(ready.text).checks.accepting], [503, 'close', 'failed'])
  assert.equal((await get(flow, '/health/live', agent)).status, 200, 'on a new connection')
  const call = await flow.post('/v1/chat/completions', chat('x'))
  assert.deepEqual([call.status, call.headers.get('connection')], [200, 'close'])

  const refused = () =>
    get(flow, '/health/live', agent).then(
      () => false,
      () => true,
    )
  await until(refused, 'nothing new to be accepted')
  ending.upstream.response.end(chatEvent('ended') + DONE)
  assert.match(await ending.text, /ended[\s\S]*\[DONE\]/)
  const told = await endless.text
  assert.match(told, /begun[\s\S]*Earthflow is shutting down/)
  assert.doesNotMatch(told, /\[DONE\]/)
  await stopped
  const rows = await outcomes(flow)
  assert.deepEqual([rows.get(ending.requestId), rows.get(endless.requestId), rows.size], ['completed', 'cut_by_drain', 3])
  await until(() => endless.upstream.closed, 'the provider to be left')
})

test('whoever is in a hurry has calls cut at once, and they are told all the same', async (t) => {
  const flow = await startEarthflow({ script, environment: { EARTHFLOW_DRAIN_SECONDS: '3600' } })
  t.after(() => flow.close())
  const endless = await stream(flow, 'endless')
  const hurry = new AbortController()
  const stopped = flow.stop(hurry.signal, 'accepting')
  hurry.abort()
  assert.match(await endless.text, /Earthflow is shutting down/)
  await stopped
  assert.deepEqual([...(await outcomes(flow)).values()], ['cut_by_drain'])
})

test('where others accept instead nothing new is accepted, and whoever sends on an idle connection just then is answered, and told that it closes', async (t) => {
  const flow = await startEarthflow({ script })
  t.after(() => flow.close())
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  assert.equal((await get(flow, '/health/live', agent)).status, 200)
  const stopped = flow.stop(new AbortController().signal, 'closed')
  const fresh = new Agent()
  await assert.rejects(get(flow, '/health/live', fresh), { code: 'ECONNREFUSED' })
  const answer = await get(flow, '/health/live', agent)
  assert.deepEqual([answer.status, answer.connection], [200, 'close'])
  await assert.rejects(get(flow, '/health/live', agent), { code: 'ECONNREFUSED' })
  await stopped
})

test('a call that waits for a person where others serve on goes through when it is approved at one of them', async (t) => {
  const flow = await startEarthflow({ script, environment: { EARTHFLOW_DRAIN_SECONDS: '3600' } })
  const other = await startEarthflow({ databaseUrl: flow.databaseUrl })
  t.after(async () => {
    await other.close()
    await flow.close()
  })
  const rule = { name: 'ask first', action: 'ESCALATE', condition: { operator: 'contains', value: 'wire the money' } }
  const { tenant_id, api_key } = await flow.newTenant({ escalation_wait_seconds: 60 })
  assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, rule)).status, 201)
  const waiting = flow.post('/v1/chat/completions', chat('wire the money'), { authorization: `Bearer ${api_key}` })
  let found: { id: string }[] = []
  const path = `/v1/escalations?status=pending&tenant_id=${tenant_id}`
  await until(async () => (found = ((await other.admin('GET', path)).json as { escalations: { id: string }[] }).escalations).length === 1, 'the call to wait')
  const hurry = new AbortController()
  const stopped = flow.stop(hurry.signal, 'closed')
  assert.equal((await other.admin('POST', `/v1/escalations/${found[0]?.id}/approve`, {})).status, 200)
  const { status, text } = await waiting
  assert.equal(status, 200, text)
  hurry.abort()
  await stopped
})
