import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { sha256 } from '../../src/audit/prompt-hash.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import type { Policies } from '../../src/pipeline/judge.ts'
import { buildPipeline, buildSettlers, type Parts } from '../../src/pipeline/pipeline.ts'
import { serve } from '../../src/pipeline/run.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Policy } from '../../src/rules/policy.ts'
import { createFindingsCache } from '../../src/rules/search/findings-cache.ts'
import { createTurns } from '../../src/rules/search/turns.ts'
import { createSearchThread, type Thread } from '../../src/rules/worker/search-thread.ts'
import type { Upstream } from '../../src/upstreams/upstream.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { rule } from './subject.ts'

/** Sends one call through all stages with these policies; whoever is reached beyond them fails the test. */
async function send(policies: Policies, content: string) {
  const rows: AuditEntry[] = []
  const unlimited = { requestsPerMinute: 1, remaining: 1, fullInMs: 0, retryInMs: 0, tokens: null }
  const parts: Parts = {
    sessions: { follow: () => {} },
    keys: {
      find: () => ({
        tenant: tenantNamed('t_1'),
        keyPrefix: 'ef_live_abcdefgh',
        keyLimits: null,
        allowedModels: null,
        allowedAddresses: null,
        clientCertificate: null,
        session: null,
        agent: null,
        scopes: new Set(['proxy:write']),
      }),
      findByCertificate: () => null,
    },
    bounds: { bodyBytesMax: 8 << 20, bufferedBytesMax: 8 << 20 },
    fingerprints: { hashPrompts: true, hashOf: (_, bytes) => sha256(bytes) },
    limits: {
      take: async () => ({ state: unlimited, over: null, mode: 'shared', hold: { tokens: 0, settle: async () => {}, giveBack: async () => {} } }),
      peek: () => unlimited,
    },
    budgets: { of: () => [], reserve: () => assert.fail('nothing is reserved') },
    agents: { saw: () => {} },
    route: { candidates: () => [{ dialects: ['openai-chat'], priority: 0, priceOf: () => null, costOf: () => null } as unknown as Upstream] },
    policies,
    desk: {
      ask: () => assert.fail('nothing is held'),
      use: () => assert.fail('nothing is held'),
      wait: () => assert.fail('nothing is held'),
      giveBack: () => assert.fail('nothing is held'),
    },
    auditLog: {
      open: () => assert.fail('nothing is to be forwarded'),
      isAway: false,
      close: async (entry) => {
        rows.push(entry)
      },
    },
  }
  const run = serve(buildPipeline(parts), buildSettlers(parts), { report: () => {}, ended: () => {} })
  const endpoint = { kind: 'call' as const, dialect: openaiChat, path: '/v1/chat/completions', model: null, upstream: null }
  const server = createServer((incoming, outgoing) => void run({ incoming, outgoing, endpoint, peer: { address: '192.0.2.1', certificate: null } })).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer ef_live_abcdefgh', 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }),
  })
  const { error } = (await answer.json()) as { error: { code: string } }
  server.close()
  assert.equal(rows.length, 1, 'one row')
  const [{ status, outcome, reason, http_status }] = rows
  const { headers } = answer
  return {
    code: error.code,
    row: [status, outcome, reason, http_status],
    said: [answer.status, headers.get('x-earthflow-decision'), headers.get('x-should-retry')],
  }
}

const policy = compile(1, [rule({ operator: 'contains', value: 'osprey' })])
const long = 'osprey '.repeat(60_000)
const thread = (startThread: () => Thread) => createSearchThread({ start: startThread, scanMsMax: 20 })
const idle = (): Thread => ({ postMessage: () => {}, on: () => {}, terminate: async () => {}, ref: () => {}, unref: () => {} })

test('a call whose search takes too long is refused for good, and its row says so', async () => {
  const shared = { turns: createTurns(), cache: createFindingsCache(), thread: thread(idle) }
  assert.deepEqual(await send({ of: () => policy, shared }, long), {
    code: 'scan_budget',
    row: ['REJECTED', 'failed', 'scan_budget', 403],
    said: [403, 'rejected', 'false'],
  })
})

test('a call with codes within codes beyond what is read is refused for good, and its row says so', async () => {
  const nested = (depth: number): string => (depth === 0 ? 'osprey ahead' : Buffer.from(nested(depth - 1)).toString('base64'))
  const refused = { code: 'scan_budget', row: ['REJECTED', 'failed', 'scan_budget', 403], said: [403, 'rejected', 'false'] }
  assert.deepEqual(await send({ of: () => policy }, nested(9)), refused)
  const shared = { turns: createTurns(), cache: createFindingsCache(), thread: thread(idle) }
  assert.deepEqual(await send({ of: () => policy, shared }, nested(9)), refused)
  assert.deepEqual((await send({ of: () => policy }, nested(8))).row, ['BLOCK', 'refused', 'rule', 403])
})

test('a call whose search breaks is refused, and its row says so', async () => {
  const broken = (): Policy => ({
    ...policy,
    judge: () => assert.fail('a matcher that throws'),
    judgeInTurns: () => assert.fail('a matcher that throws'),
  })
  const breaking: Thread = {
    ...idle(),
    postMessage: () => {
      throw new Error('cannot be copied')
    },
  }
  const shared = { turns: createTurns(), cache: createFindingsCache(), thread: thread(() => breaking) }
  const refused = { code: 'internal_error', row: ['REJECTED', 'failed', 'internal', 500], said: [500, 'rejected', null] }
  assert.deepEqual(await send({ of: broken }, 'hi'), refused)
  assert.deepEqual(await send({ of: broken, shared }, 'hi'), refused)
  assert.deepEqual(await send({ of: async () => broken(), shared }, 'hi'), refused)
  assert.deepEqual(await send({ of: () => policy, shared }, long), refused)
})

test('a call for which there is no policy is refused, and its row says so', async () => {
  const refused = { code: 'unavailable', row: ['REJECTED', 'failed', 'unavailable', 503], said: [503, 'rejected', null] }
  assert.deepEqual(await send({ of: () => undefined }, 'hi'), refused)
  assert.deepEqual(await send({ of: async () => undefined }, 'hi'), refused)
})
