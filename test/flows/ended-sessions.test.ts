/** What was begun with a session's token ends when the session does: its client is told, its provider is let go, its row says why. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, SSE } from '../harness/provider.ts'

/** Far less than what is cached is believed without being told of a change. */
const HEARD_MAX_MS = 10_000

let flow: Flow
let other: Flow
before(async () => {
  flow = await startEarthflow()
  other = await startEarthflow({ databaseUrl: flow.databaseUrl })
})
after(async () => {
  await other.close()
  await flow.close()
})
beforeEach(async () => {
  flow.provider.seen.length = 0
  await flow.admin('POST', '/v1/sessions/unlock', {})
})

const made = async (): Promise<{ session_id: string; token: string }> => {
  const { json } = await flow.admin('POST', '/v1/sessions', { profile: 'quick_lock' }, { authorization: `Bearer ${flow.tenant.api_key}` })
  return json as { session_id: string; token: string }
}
const streaming = (where: Flow, token: string): Promise<Response> =>
  fetch(`${where.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: chat('tell me a story', { stream: true }),
  })

test('lock-all ends streams under way in every process, with an error the library raises; those of keys go on', async () => {
  const open: (() => void)[] = []
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE).write(chatEvent('Once'))
    open.push(() => response.end(chatEvent(' upon') + DONE))
  }
  const { token } = await made()
  const [here, there, byKey] = await Promise.all([streaming(flow, token), streaming(other, token), streaming(flow, flow.tenant.api_key)])
  await until(() => open.length === 3, 'three streams to be under way')
  assert.equal((await flow.admin('POST', '/v1/sessions/lock-all', {})).status, 200)
  for (const answer of [here, there]) {
    const text = await answer.text()
    assert.match(text, /^data: .*Once/)
    assert.match(text, /data: \{"error":\{"message":"The session that this call was made with was ended/)
    assert.ok(!text.includes('[DONE]'))
  }
  await until(() => flow.provider.seen.filter(({ closed }) => closed).length === 2, 'their providers to be let go', HEARD_MAX_MS)
  for (const end of open) end()
  assert.match(await byKey.text(), /upon.*\[DONE\]/s)
  await flow.rowsOf(3)
  await until(async () => (await flow.rows()).filter(({ reason }) => reason === 'session_ended').length === 2, 'their rows')
  for (const row of (await flow.rows()).filter(({ reason }) => reason === 'session_ended')) {
    assert.deepEqual([row.status, row.outcome, row.http_status], ['ALLOW', 'refused', 200])
    assert.ok((row.usage?.input_tokens ?? 0) > 0, 'what the provider did is charged')
  }
  assert.equal(await flow.openExchanges(), 0)
})

test('a call that waits for its provider is answered 401, and its provider is let go', async () => {
  flow.provider.script = () => {}
  const { token, session_id } = await made()
  const waiting = flow.post('/v1/chat/completions', chat('are you there'), { authorization: `Bearer ${token}` })
  await until(() => flow.provider.seen.length === 1, 'the provider to be asked')
  assert.equal((await flow.admin('DELETE', `/v1/sessions/${session_id}?tenant_id=${flow.tenant.tenant_id}`)).status, 204)
  const answer = await waiting
  assert.equal(answer.status, 401)
  assert.match(answer.text, /was ended/)
  assert.ok(!answer.text.includes('ef_session_'))
  await until(() => flow.provider.seen[0]?.closed === true, 'the provider to be let go')
})

test('a call whose body is still arriving is answered, and nothing of it leaves', async () => {
  flow.provider.script = answerJson
  const { token, session_id } = await made()
  const whole = wire('/v1/chat/completions', token, chat('half of it'))
  const socket = flow.open()
  let text = ''
  socket.on('data', (chunk) => {
    text += String(chunk)
  })
  socket.write(whole.slice(0, -5))
  await until(async () => (await flow.openExchanges()) === 1, 'the call to be under way')
  await flow.admin('DELETE', `/v1/sessions/${session_id}?tenant_id=${flow.tenant.tenant_id}`)
  await sleep(50)
  socket.write(whole.slice(-5))
  await until(() => text.includes('\r\n\r\n'), 'an answer', HEARD_MAX_MS)
  assert.match(text, /^HTTP\/1\.1 401 /)
  socket.destroy()
  assert.equal(flow.provider.seen.length, 0)
  await until(async () => (await flow.openExchanges()) === 0, 'nothing to be left open')
})

test('an answer that is complete is handed over, though the session ends just then', async () => {
  flow.provider.script = answerJson
  const { token, session_id } = await made()
  assert.equal((await flow.post('/v1/chat/completions', chat('quick'), { authorization: `Bearer ${token}` })).status, 200)
  await flow.admin('DELETE', `/v1/sessions/${session_id}?tenant_id=${flow.tenant.tenant_id}`)
  assert.equal((await flow.post('/v1/chat/completions', chat('again'), { authorization: `Bearer ${token}` })).status, 401)
})
