/** Where a key may be used, and for which models, on the way through `admit`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../../src/call.ts'
import { Refusal } from '../../src/errors.ts'
import { admit } from '../../src/pipeline/admit.ts'
import { whoForbids, whoRestricts } from '../../src/pipeline/allowed-models.ts'
import { reasonOf, statusOf } from '../../src/pipeline/status.ts'
import { agentNamed, callerOf, tenantNamed } from '../harness/nouns.ts'

const state = { requestsPerMinute: 1, remaining: 1, fullInMs: 0, retryInMs: 0, tokens: null }
const limits = { take: () => assert.fail('nothing is taken'), peek: () => state }
const stage = admit(limits, { candidates: () => assert.fail('nobody is looked for') }, { of: () => assert.fail(), reserve: () => assert.fail() })
const dialect = { vendor: { limitHeaders: () => [] } }

const decide = (more: Partial<Caller>, peer: { address: string; certificate: string[] | null }, models = ['gpt-5']): Promise<unknown> =>
  stage({
    caller: callerOf(tenantNamed('t'), { scopes: new Set(['proxy:write']), ...more }),
    call: { models },
    endpoint: { kind: 'call', path: '/v1/chat/completions' },
    incoming: { method: 'POST' },
    dialect,
    headers: [],
    arrivedAt: 0,
    peer,
  } as never) as Promise<unknown>

const refused = async (...asked: Parameters<typeof decide>): Promise<Refusal> => {
  const decision = await decide(...asked)
  assert.ok(decision instanceof Refusal)
  return decision
}

test('a key is refused from elsewhere before anything else is said of the call', async () => {
  const elsewhere = { address: '192.0.2.1', certificate: null }
  assert.equal((await refused({ allowedAddresses: ['10.0.0.0/8'], scopes: new Set() }, elsewhere)).reason, 'address_not_allowed')
  assert.equal((await refused({ allowedAddresses: ['10.0.0.0/8'] }, { address: '', certificate: null })).reason, 'address_not_allowed')
  assert.equal((await refused({ allowedAddresses: ['10.0.0.0/8'], scopes: new Set() }, { address: '10.1.2.3', certificate: null })).reason, 'forbidden')
})

test('a key with a certificate is refused without it, and with another', async () => {
  for (const certificate of [null, [], ['cn:other'], ['cn:robot.example.com']])
    assert.equal((await refused({ clientCertificate: 'cn:robot' }, { address: '192.0.2.1', certificate })).reason, 'certificate_required')
  assert.equal((await refused({ clientCertificate: 'cn:robot', scopes: new Set() }, { address: '', certificate: ['dns:x', 'cn:robot'] })).reason, 'forbidden')
})

test('a key’s models are within its agent’s and its tenant’s, and a call that names none is refused where somebody restricts them', async () => {
  const here = { address: '192.0.2.1', certificate: null }
  assert.match((await refused({ allowedModels: ['claude-*'] }, here)).message, /^This key may not use this model/)
  assert.match((await refused({ allowedModels: ['claude-*'] }, here, [])).message, /^This key may use certain models only/)
  const caller = callerOf(tenantNamed('t', { allowedModels: ['gpt-*', 'claude-*'] }), {
    agent: agentNamed('a', { allowedModels: ['gpt-*'] }),
    allowedModels: ['gpt-5'],
  })
  assert.deepEqual(
    ['gpt-5', 'gpt-4', 'claude-5', 'gemini-3'].map((model) => whoForbids(caller, model)),
    [null, 'key', 'agent', 'tenant'],
  )
  assert.deepEqual(
    [whoRestricts(caller), whoRestricts(callerOf(tenantNamed('t'), { allowedModels: ['a'] })), whoRestricts(callerOf(tenantNamed('t')))],
    ['tenant', 'key', null],
  )
})

test('the row says why: the place, the certificate, the locality, and that nothing left', () => {
  const outcome = (reason: ConstructorParameters<typeof Refusal>[0], stage = 'admit') => ({ kind: 'refused' as const, stage, refusal: new Refusal(reason, '') })
  const said = (['address_not_allowed', 'certificate_required', 'locality', 'sessions_locked'] as const).map((reason) => reasonOf(outcome(reason)))
  assert.deepEqual(said, ['address', 'certificate', 'locality', 'sessions_locked'])
  const judged = (attempts: object[]) => ({ verdict: { action: 'ALLOW' }, trace: { attempts } }) as never
  assert.equal(statusOf(judged([{}]), outcome('locality', 'forward')), 'REJECTED')
  assert.equal(statusOf(judged([]), outcome('unavailable', 'forward')), 'REJECTED')
  assert.equal(statusOf(judged([{}]), outcome('upstream_unreachable', 'forward')), 'ALLOW')
})
