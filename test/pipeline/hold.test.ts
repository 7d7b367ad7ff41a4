import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import type { Caller } from '../../src/call.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import type { Answer, HeldCall } from '../../src/escalations/held-call.ts'
import { enforce } from '../../src/pipeline/enforce.ts'
import type { Holding } from '../../src/pipeline/hold.ts'
import type { Trace } from '../../src/pipeline/stage.ts'
import { compile } from '../../src/rules/compile.ts'
import { callerOf, tenantNamed } from '../harness/nouns.ts'
import { chat, rule, subjectOf } from '../rules/subject.ts'

const ID = 'esc_01m8nw5sqs50y6yxfgw2b4spze'
const HEADER = 'x-earthflow-approval-id'
const yes: Answer = { why: null, id: ID, approvedBy: 'admin', heldAuditId: null }

type Desk = Holding['desk']

/** A call that a person must decide about goes through the stage; the desk answers what it is told to, and what it was asked is kept. */
async function send(
  answers: Partial<Record<keyof Desk, Answer | Error>>,
  { waitSeconds = 0, headers = {}, more = {}, action = 'ESCALATE', trace = newTrace(), forbidden = null, record = async () => {} }: Sending = {},
) {
  const asked: string[] = []
  const calls: HeldCall[] = []
  const answer = (method: keyof Desk, call: HeldCall): Promise<Answer> => {
    asked.push(method)
    calls.push(call)
    const said = answers[method]
    return said instanceof Error || said === undefined ? Promise.reject(said ?? new Error(`${method} was not to be asked`)) : Promise.resolve(said)
  }
  const waits: number[] = []
  const desk: Desk = {
    ask: (call) => answer('ask', call),
    async use(_id, call, { before }) {
      await before()
      return answer('use', call)
    },
    async wait(_id, call, { ms, before }) {
      waits.push(ms)
      await before()
      return answer('wait', call)
    },
  }
  const call = chat(['user', 'please wire the money'])
  const verdict = compile(1, [rule({ operator: 'contains', value: 'wire' }, action)]).judge(subjectOf(call))
  const known = {
    id: 'req_1',
    auditId: 'aud_1',
    arrivedAt: 0,
    startedAt: performance.now(),
    incoming: { method: 'POST', url: '/v1/chat/completions', headers, headersDistinct: {}, rawHeaders: [] },
    outgoing: {},
    dialect: openaiChat,
    endpoint: { kind: 'call', dialect: openaiChat, path: '/v1/chat/completions', model: null, upstream: null },
    headers: [] as string[],
    signal: new AbortController().signal,
    trace,
    caller: callerOf(tenantNamed('t_1', { escalationWaitSeconds: waitSeconds }), more),
    call,
    verdict,
    admission: { reservation: null, budgets: [], expected: { usage: { input_tokens: 7, output_tokens: 5 }, nano: 9 } },
  }
  const recorded: AuditEntry[] = []
  const auditLog: Holding['auditLog'] = {
    isAway: false,
    async open(entry) {
      asked.push('record')
      await record()
      recorded.push(entry)
    },
  }
  const stillMay = async (): Promise<Refusal | null> => {
    asked.push('still may')
    return forbidden
  }
  const decision = await enforce({ desk, auditLog, stillMay })(known as never)
  const refusal = decision instanceof Refusal ? decision : null
  return { asked, recorded, waits, calls, trace, call, refusal, enforced: decision instanceof Refusal ? null : decision, told: known.headers }
}
interface Sending {
  waitSeconds?: number
  headers?: Record<string, string>
  more?: Partial<Caller>
  action?: 'ESCALATE' | 'BLOCK' | 'WARN'
  trace?: Trace
  forbidden?: Refusal | null
  record?: () => Promise<void>
}
const newTrace = (): Trace => ({ held: null, waitedMs: 0, attempts: [], bill: null }) as unknown as Trace

test('without a wait a call is refused with the id under which it can be approved, in the header and in the sentence', async () => {
  const { asked, refusal, told, trace } = await send({ ask: { why: 'pending', id: ID } })
  assert.deepEqual([asked, refusal?.reason, refusal?.status, refusal?.context], [['record', 'ask'], 'approval_required', 403, { approval_id: ID }])
  assert.match(refusal?.message ?? '', new RegExp(`'a ESCALATE rule'.*${HEADER}: ${ID}`))
  assert.deepEqual([told, trace.held], [[HEADER, ID], { id: ID, approvedBy: null, heldAuditId: null }])
})

test('an identical call that is approved and has not been used must say so itself, unless its tenant has calls wait', async () => {
  const told = await send({ ask: { why: 'approved', id: ID } })
  assert.match(told.refusal?.message ?? '', /It is approved: send exactly this call again/)
  assert.deepEqual(told.told, [HEADER, ID])
  const waiting = await send({ ask: { why: 'approved', id: ID }, use: yes }, { waitSeconds: 30 })
  assert.deepEqual([waiting.asked, waiting.refusal, waiting.enforced?.outbound], [['record', 'ask', 'still may', 'use'], null, waiting.call.body])
})

test('with a wait it waits for so long, and goes on as the very bytes that came', async () => {
  const { asked, waits, enforced, call, trace, told } = await send({ ask: { why: 'pending', id: ID }, wait: yes }, { waitSeconds: 30 })
  assert.deepEqual([asked, waits], [['record', 'ask', 'record', 'still may', 'wait'], [30_000]])
  assert.equal(enforced?.outbound, call.body)
  assert.deepEqual([trace.held, told], [{ id: ID, approvedBy: 'admin', heldAuditId: null }, []])
})

test('a call that names its approval uses it, and waits for nothing', async () => {
  const passed = await send({ use: { ...yes, heldAuditId: 'aud_0' } }, { waitSeconds: 30, headers: { [HEADER]: ID } })
  assert.deepEqual([passed.asked, passed.enforced?.outbound], [['still may', 'use'], passed.call.body])
  assert.deepEqual(passed.trace.held, { id: ID, approvedBy: 'admin', heldAuditId: 'aud_0' })
  const undecided = await send({ use: { why: 'pending', id: ID } }, { waitSeconds: 30, headers: { [HEADER]: ID } })
  assert.deepEqual([undecided.asked, undecided.refusal?.status, undecided.told], [['still may', 'use'], 403, [HEADER, ID]])
  const nonsense = await send({}, { headers: { [HEADER]: "esc_' or 1=1" } })
  assert.deepEqual([nonsense.asked, nonsense.trace.held, nonsense.told], [[], null, []])
  assert.match(nonsense.refusal?.message ?? '', /no approval of exactly this call/)
})

test('every no has a sentence of its own, and leads to no second attempt that cannot pass', async () => {
  const sentences = new Set<string>()
  for (const why of ['denied', 'expired', 'used', 'another', 'too_large', 'tenant_full', 'caller_full', 'full'] as const) {
    const id = ['denied', 'expired', 'used'].includes(why) ? ID : null
    const { refusal, told, trace } = await send({ ask: { why, id }, use: { why, id } }, { waitSeconds: 30, headers: why === 'used' ? { [HEADER]: ID } : {} })
    assert.deepEqual([refusal?.reason, told, refusal?.context.approval_id, trace.held?.id ?? null], ['approval_required', [], null, id], why)
    sentences.add(refusal?.message ?? '')
  }
  assert.equal(sentences.size, 8)
})

test('what the desk cannot say fails the call, whichever way it was asked', async () => {
  const away = new Failure('unavailable', new Error('away'))
  await assert.rejects(send({ ask: away }), away)
  await assert.rejects(send({ use: away }, { headers: { [HEADER]: ID } }), away)
  await assert.rejects(send({ ask: { why: 'pending', id: ID }, wait: away }, { waitSeconds: 1 }), away)
})

test('a call that leaves while it waits has its escalation on record', async () => {
  const trace = newTrace()
  await assert.rejects(send({ ask: { why: 'pending', id: ID }, wait: new Error('over') }, { waitSeconds: 1, trace }), /over/)
  assert.deepEqual(trace.held, { id: ID, approvedBy: null, heldAuditId: null })
})

test('nobody is asked about a call that is not on record; while it waits the record names its escalation, and charges nothing', async () => {
  const { recorded } = await send({ ask: { why: 'pending', id: ID }, wait: yes }, { waitSeconds: 30 })
  assert.deepEqual(
    recorded.map((entry) => [entry.audit_id, entry.status, entry.outcome, entry.escalation_id, entry.usage, entry.cost_usd]),
    [
      ['aud_1', 'ESCALATE', 'unknown', null, null, null],
      ['aud_1', 'ESCALATE', 'unknown', ID, null, null],
    ],
  )
  const full = new Failure('audit_unavailable', new Error('full'))
  await assert.rejects(send({}, { record: () => Promise.reject(full) }), full)
})

test('a caller that may not make the call any more is told so, whichever way it came by the approval', async () => {
  const forbidden = new Refusal('agent_quarantined', 'quarantined')
  const isIt = (error: unknown): boolean => error === forbidden
  await assert.rejects(send({ ask: { why: 'pending', id: ID } }, { waitSeconds: 1, forbidden }), isIt)
  await assert.rejects(send({ ask: { why: 'approved', id: ID } }, { waitSeconds: 1, forbidden }), isIt)
  await assert.rejects(send({}, { headers: { [HEADER]: ID }, forbidden }), isIt)
})

test('BLOCK asks nobody whatever the call names, and neither does a call that needs no approval, nor a session that holds nothing', async () => {
  const headers = { [HEADER]: ID }
  const blocked = await send({}, { action: 'BLOCK', headers })
  assert.deepEqual([blocked.asked, blocked.refusal?.reason], [[], 'blocked_by_rule'])
  const warned = await send({}, { action: 'WARN', headers })
  assert.deepEqual([warned.asked, warned.enforced?.outbound], [[], warned.call.body])
  const session = { id: 'ses_1', profile: 'black_vault', holdsNothing: true, impersonal: true } as Caller['session']
  const held = await send({}, { headers, more: { session } })
  assert.deepEqual([held.asked, held.refusal?.reason], [[], 'blocked_by_rule'])
})

test('an approval belongs to the first key of a line, so that it outlives the rotation of the key', async () => {
  const { calls } = await send({ ask: { why: 'pending', id: ID } }, { more: { keyPrefix: 'ef_live_newer', line: ['ef_live_first', 'ef_live_newer'] } })
  const [{ caller, keyPrefix, tenantId, auditId, requestId, policyVersion, rulesTriggered, model, endpoint, dialect }] = calls
  assert.deepEqual(
    { caller, keyPrefix, tenantId, auditId, requestId, policyVersion, rulesTriggered, model, endpoint, dialect },
    {
      caller: 'ef_live_first',
      keyPrefix: 'ef_live_newer',
      tenantId: 't_1',
      auditId: 'aud_1',
      requestId: 'req_1',
      policyVersion: 1,
      rulesTriggered: ['rule_escalate'],
      model: 'gpt-4o',
      endpoint: '/v1/chat/completions',
      dialect: 'openai-chat',
    },
  )
})
