/** Replies in which stands what no rule can read, over sockets. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { chatEvent, SSE } from '../harness/provider.ts'

const MEDIA = Buffer.alloc(300, 7).toString('base64')
const spoken = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: null, audio: { id: 'a', data: MEDIA, transcript: 'hi' } } }] })
const spokenEvent = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { audio: { id: 'a', data: MEDIA } } }] })}\n\n`

let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())

/** What a tenant with this word hears, and the row about it. */
async function heard(uninspectable: string, stream: boolean, rule: object | null) {
  const { tenant_id, api_key } = await flow.newTenant({ uninspectable })
  if (rule) assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, rule)).status, 201)
  flow.provider.script = ({ response }) => {
    if (stream) response.writeHead(200, SSE).end(chatEvent('listen') + spokenEvent)
    else response.writeHead(200, { 'content-type': 'application/json' }).end(spoken)
  }
  const answer = await flow.post('/v1/chat/completions', chat('say hi', { stream }), { authorization: `Bearer ${api_key}` })
  const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${tenant_id}&request_id=${answer.headers.get('x-earthflow-request-id')}`)).json as {
    entries: AuditEntry[]
  }
  const [{ status, rules_triggered, uninspected_bytes }] = entries
  return { http: answer.status, text: answer.text, status, rules: rules_triggered, bytes: uninspected_bytes }
}
const rule = { name: 'Osprey', condition: { operator: 'contains', value: 'osprey', target: 'response' }, action: 'BLOCK' }

test('a tenant that blocks it gets none of it, whether a rule reads replies or not, and the row says why', async () => {
  for (const one of [rule, null]) {
    const plain = await heard('block', false, one)
    assert.deepEqual([plain.http, plain.status, plain.rules, plain.bytes], [403, 'BLOCK', ['uninspectable'], MEDIA.length])
    const streamed = await heard('block', true, one)
    assert.ok(streamed.text.startsWith(chatEvent('listen')) && !streamed.text.includes(MEDIA))
    assert.deepEqual([streamed.http, streamed.status, streamed.rules], [200, 'BLOCK', ['uninspectable']])
  }
})

test('a tenant that is warned gets it with a finding, one that allows it with its bytes counted, and where no rule reads replies nobody looks', async () => {
  for (const stream of [false, true]) {
    const sent = stream ? chatEvent('listen') + spokenEvent : spoken
    assert.deepEqual(await heard('warn', stream, rule), { http: 200, text: sent, status: 'WARN', rules: ['uninspectable'], bytes: MEDIA.length })
    assert.deepEqual(await heard('allow', stream, rule), { http: 200, text: sent, status: 'ALLOW', rules: [], bytes: MEDIA.length })
    assert.deepEqual(await heard('warn', stream, null), { http: 200, text: sent, status: 'ALLOW', rules: [], bytes: 0 })
  }
})
