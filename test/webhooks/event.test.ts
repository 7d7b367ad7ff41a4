import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { payloads } from '../../src/admin/documents/events.ts'
import { type AuditEntry, emptyEntry, type Status } from '../../src/audit/entry.ts'
import { toJson } from '../../src/db/to-json.ts'
import { countedEvents, type EventType, eventsOf, eventTypes, newEventsOf, toldActions } from '../../src/webhooks/event.ts'
import { payloadOf } from '../../src/webhooks/payload.ts'
import { entryOf } from '../audit/entries.ts'

/** What is sent of each event of an entry. */
const sentOf = (entry: AuditEntry): { type: EventType; body: string }[] =>
  newEventsOf(entry).map(({ event_id, type, tenant_id, request_id, at, data, subject }) => {
    const stored = JSON.parse(toJson([data]))[0]
    return {
      type: type as EventType,
      body: payloadOf({ id: event_id, sequence: '1', type, tenantId: tenant_id, requestId: request_id, at: new Date(at), data: stored, subject, count: 3 }),
    }
  })

const changeOf = (action: string, details: Record<string, unknown> = {}): AuditEntry => ({
  ...emptyEntry({ at: Date.now(), kind: 'change', reason: action }),
  metadata: { ...details, actor: 'system', subject: 'it' },
})

/** What entries of these actions say beside the actor and the subject. */
const details: Record<string, Record<string, unknown>> = {
  'tenant.create': { key_prefix: 'ef_live_abcdefgh' },
  'key.rotate': { keys: 2, revoke_after_seconds: 60 },
  'sessions.lock': { ended: 4, reason: 'an exercise' },
  'escalation.approve': { request_id: 'req_1', audit_id: 'aud_1' },
  'escalation.deny': { request_id: 'req_1', audit_id: 'aud_1' },
  'escalation.expire': { request_id: 'req_1', audit_id: 'aud_1' },
  'upstream.down': { status: null, error: 'ECONNREFUSED', failures: 5 },
  'upstream.up': { failures: 7 },
  'webhook.disable': { reason: 'gone' },
  'certificate.expiring': { expires_at: '2027-01-01T00:00:00.000Z', days: 7 },
  'audit.degraded': { error: 'ECONNREFUSED' },
  'audit.spool_damaged': { damage: 'a record is cut short' },
}

const where = ['messages[0].content']
const finding = { rule_id: 'rule_1', action: 'BLOCK', mode: 'enforce', on: 'call', count: 2, where } as const
const entries: AuditEntry[] = [
  ...(['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] as const).map((status) => entryOf({ status, findings: [finding] })),
  entryOf({ status: 'REJECTED', outcome: 'refused', reason: 'rate_limit', rules_triggered: [] }),
  entryOf({ status: 'REJECTED', outcome: 'refused', reason: 'budget', key_prefix: null }),
  entryOf({ status: 'ESCALATE', escalation_id: 'esc_1', approved_by: 'admin', held_audit_id: 'aud_0' }),
  entryOf({ outcome: 'unknown', usage: null, cost_usd: null, latency_ms: null, http_status: null }),
  ...Object.keys(toldActions).map((action) => changeOf(action, details[action])),
]
/** Those that are no entry's; where they are made, tests hold them to their schema too. */
const made: readonly EventType[] = ['BUDGET_THRESHOLD', 'AUDIT_CHECKPOINT']

test('whatever an entry tells fits the schema that the document has of it, and every event there is has one', () => {
  const seen = new Set<EventType>()
  for (const { type, body } of entries.flatMap(sentOf)) {
    const { success, error } = payloads[type].safeParse(JSON.parse(body))
    assert.ok(success, `${type}: ${error?.message}\n${body}`)
    seen.add(type)
  }
  assert.deepEqual([...seen, ...made].sort(), [...eventTypes].sort())
})

test('a schema takes nothing that is not told: no member more, none less, and a count where there is one', () => {
  for (const { type, body } of entries.flatMap(sentOf)) {
    const payload = JSON.parse(body) as { data: Record<string, unknown> }
    const { audit_id, ...rest } = payload.data
    for (const other of [
      { ...payload, more: 1 },
      { ...payload, data: { ...payload.data, prompt: 'x' } },
      { ...payload, data: rest },
    ])
      assert.equal(payloads[type].safeParse(other).success, false, type)
    assert.equal('count' in payload.data, countedEvents.has(type), type)
  }
})

const told = (fields: Partial<AuditEntry>): string[] => eventsOf(entryOf({ rules_triggered: [], ...fields })).map(({ type }) => type)

test('a call is told by what became of it; what was turned away unjudged only where its number is told', () => {
  for (const status of ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] as const) assert.deepEqual(told({ status }), [status])
  assert.deepEqual(told({ status: 'BLOCK', rules_triggered: ['rule_1'] }), ['BLOCK', 'RULE_TRIGGERED'])
  const rejected: { status: Status; outcome: AuditEntry['outcome'] } = { status: 'REJECTED', outcome: 'refused' }
  assert.deepEqual(told({ ...rejected, reason: 'rate_limit' }), ['RATE_LIMIT_HIT'])
  assert.deepEqual(told({ ...rejected, reason: 'budget' }), ['BUDGET_EXCEEDED'])
  assert.deepEqual(told({ ...rejected, reason: 'quarantine' }), [])
  assert.deepEqual(told({ status: 'ALLOW', outcome: 'refused', reason: 'budget' }), ['ALLOW', 'BUDGET_EXCEEDED'], 'a stream that a budget stopped')
})

test('that a call waits for a person is told when it begins to, and not again when it ends', () => {
  assert.deepEqual(told({ status: 'ESCALATE', escalation_id: 'esc_1', rules_triggered: ['rule_1'] }), ['RULE_TRIGGERED'])
})

test('calls of a key that were refused are counted by key, upstreams that are down by name', () => {
  const subjects = (entry: AuditEntry): (string | null)[] => eventsOf(entry).map(({ subject }) => subject)
  assert.deepEqual(subjects(entryOf({ status: 'REJECTED', outcome: 'refused', reason: 'rate_limit', rules_triggered: [] })), ['ef_test_abcdefgh'])
  assert.deepEqual(subjects(changeOf('upstream.down', details['upstream.down'])), ['it'])
  assert.deepEqual(subjects(changeOf('upstream.up', details['upstream.up'])), ['it'])
})

test('what the log tells of itself, and changes that concern nobody outside, tell nothing', () => {
  assert.deepEqual(eventsOf(emptyEntry({ at: 0, kind: 'chain', reason: 'writer.open' })), [])
  assert.deepEqual(eventsOf({ ...changeOf('sessions.lock'), kind: 'chain' }), [])
  assert.deepEqual(eventsOf(changeOf('tenant.update')), [])
})

test('no event says what a caller says about a call, nor what a detail puts in the place of a member', () => {
  assert.doesNotMatch(JSON.stringify(eventsOf(entryOf({ metadata: { note: 'canary' } }))), /canary/)
  const [{ data }] = eventsOf(changeOf('escalation.approve', { audit_id: 'aud_other', action: 'x' }))
  assert.notEqual(data.audit_id, 'aud_other')
  assert.equal(data.action, 'escalation.approve')
})

test('the largest entry there can be makes payloads of at most 20 kB, which still fit their schemas', () => {
  const wide = '\u0001'
  const long = (length: number): string => wide.repeat(length)
  const findings = Array.from({ length: 2_000 }, (_, i) => ({
    ...finding,
    rule_id: `rule_${i}${'x'.repeat(40)}`,
    where: Array.from({ length: 8 }, () => 'é'.repeat(200)),
  }))
  const usage = Object.fromEntries(
    ['input', 'output', 'cached_input', 'cache_write', 'cache_write_1h', 'reasoning', 'audio_input', 'audio_output'].map((name) => [
      `${name}_tokens`,
      10 ** 15,
    ]),
  ) as unknown as AuditEntry['usage']
  const call = entryOf({
    status: 'BLOCK',
    user_id: long(256),
    model: 'm'.repeat(200),
    endpoint: '/'.padEnd(256, 'x'),
    rules_triggered: findings.map(({ rule_id }) => rule_id),
    findings,
    usage,
    metadata: { note: long(100_000) },
    cost_usd: '99999999999.999999999',
  })
  const change = changeOf('sessions.lock', { ended: 1, reason: long(100_000) })
  const sent = [...sentOf(call), ...sentOf(change)]
  for (const { type, body } of sent) {
    assert.ok(Buffer.byteLength(body) <= 20_000, `${type}: ${Buffer.byteLength(body)}`)
    const parsed = JSON.parse(body) as { data: { rules_triggered?: unknown[]; findings?: unknown[] } }
    if (type === 'SESSIONS_LOCKED') continue // what was too long is left out
    assert.ok(payloads[type].safeParse(parsed).success, type)
    assert.ok(parsed.data.rules_triggered!.length > 10 && parsed.data.findings!.length > 0, 'as many as there is room for')
  }
  assert.equal(sent.length, 3)
})

test('an entry that an earlier version left on the disk tells what it would have told then, in the present form', () => {
  const { escalation_id: _, approved_by: __, held_audit_id: ___, ...old } = entryOf({ status: 'ESCALATE', outcome: 'refused', rules_triggered: [] })
  const [{ type, body }, ...others] = sentOf(old as AuditEntry) as [{ type: EventType; body: string }]
  assert.deepEqual([type, others], ['ESCALATE', []])
  assert.ok(payloads.ESCALATE.safeParse(JSON.parse(body)).success, body)
})

test('every action that is told is one that something does', () => {
  const sources = globSync('src/**/*.ts', { exclude: ['src/webhooks/event.ts'] }).map((path) => readFileSync(path, 'utf8'))
  const text = sources.join('\n')
  for (const action of Object.keys(toldActions)) {
    const [kind, deed = ''] = [action.slice(0, action.lastIndexOf('.')), action.slice(action.lastIndexOf('.') + 1)]
    const isMade = text.includes(`'${action}'`) || text.includes(`\`${kind}.\${`) || text.includes(`\`escalation.\${`)
    assert.ok(isMade, `${action} ${deed}`)
  }
})
