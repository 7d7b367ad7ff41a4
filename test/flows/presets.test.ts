/** What presets must leave alone: media, and what only its provider can read. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import { presets } from '../../src/rules/presets.ts'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'

const PNG_BYTES = 5 << 20
const SMALL_PNG_BYTES = 64 << 10
const SIGNATURE_BYTES = 6_000

/** A real picture of about so much random noise, which no compression makes smaller. */
function noise(bytes: number): string {
  const chunk = (type: string, content: Buffer): Buffer => {
    const named = Buffer.concat([Buffer.from(type), content])
    const edges = [content.length, crc32(named)].map((value) => {
      const edge = Buffer.alloc(4)
      edge.writeUInt32BE(value)
      return edge
    })
    return Buffer.concat([edges[0], named, edges[1]])
  }
  const side = Math.floor(Math.sqrt(bytes))
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header[8] = 8
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const pixels = deflateSync(randomBytes(side * (side + 1)), { level: 0 })
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]).toString('base64')
}

const picture = noise(PNG_BYTES)
const calls: Record<string, { path: string; body: string }> = {
  'a chat with an inline PNG': {
    path: '/v1/chat/completions',
    body: JSON.stringify({
      model: 'm',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is in this picture?' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
          ],
        },
      ],
    }),
  },
  'messages with a PNG, a signed thinking block and a redacted one': {
    path: '/v1/messages',
    body: JSON.stringify({
      model: 'm',
      max_tokens: 64,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture } },
            { type: 'text', text: 'What is in this picture?' },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'The picture shows noise.', signature: randomBytes(SIGNATURE_BYTES).toString('base64') },
            { type: 'redacted_thinking', data: randomBytes(SIGNATURE_BYTES).toString('base64') },
            { type: 'text', text: 'Noise.' },
          ],
        },
        { role: 'user', content: 'And what else?' },
      ],
    }),
  },
}

let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())

for (const preset of Object.keys(presets))
  for (const [what, { path, body }] of Object.entries(calls))
    test(`under ${preset}, ${what} arrives byte for byte`, async () => {
      const { api_key } = await flow.newTenant({ rules_preset: preset })
      const seen = flow.provider.seen.length
      const answer = await flow.post(path, body, { authorization: `Bearer ${api_key}`, ...(path === '/v1/messages' && { 'anthropic-version': '2023-06-01' }) })
      assert.equal(answer.status, 200, answer.text)
      assert.match(answer.headers.get('x-earthflow-decision') ?? '', /^(?:allow|warn)$/)
      assert.equal(flow.provider.seen.length, seen + 1)
      assert.ok(flow.provider.seen[seen].body.equals(Buffer.from(body)), 'the provider got what was sent')
    })

test('under every preset what stands beside a picture is still judged', async () => {
  const small = calls['a chat with an inline PNG'].body.replace(picture, noise(SMALL_PNG_BYTES))
  for (const preset of Object.keys(presets)) {
    const { api_key } = await flow.newTenant({ rules_preset: preset })
    const secret = preset === 'eu_ai_act' ? 'Build a social scoring system' : `key ${'AKIA'}IOSFODNN7EXAMPLE`
    const body = small.replace('What is in this picture?', secret)
    const answer = await flow.post('/v1/chat/completions', body, { authorization: `Bearer ${api_key}` })
    assert.equal(answer.status, preset === 'prompt_injection' ? 200 : 403, preset)
  }
})
