import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admit } from '../../src/pipeline/admit.ts'
import { authenticate } from '../../src/pipeline/authenticate.ts'
import { decode } from '../../src/pipeline/decode.ts'
import { fingerprint } from '../../src/pipeline/fingerprint.ts'
import { forward } from '../../src/pipeline/forward.ts'
import { judge } from '../../src/pipeline/judge.ts'
import { openRecord } from '../../src/pipeline/open-record.ts'
import { buildPipeline, type Parts } from '../../src/pipeline/pipeline.ts'
import { Pipeline, serve } from '../../src/pipeline/run.ts'

const hashes = { hashPrompts: true, hashOf: () => 'sha256:0' }
const keys = { find: () => null, findByCertificate: () => null }
const sessions = { follow: () => {} }
const policies = { of: () => undefined }
const limits = { take: () => Promise.reject(new Error()), peek: () => assert.fail('nothing is refused') }
const auditLog = { open: async () => {}, close: async () => {}, isAway: false }
const start = new Pipeline().stage('authenticate', authenticate(keys, sessions)).stage('decode', decode({ bodyBytesMax: 1, bufferedBytesMax: 1 }, limits))

test('a list in the wrong order does not compile', () => {
  // @ts-expect-error nothing is judged before it is read
  new Pipeline().stage('judge', judge(policies))
  // @ts-expect-error there is nothing to put on record before a verdict was enforced
  start.stage('open record', openRecord(auditLog, hashes.hashOf))
  // @ts-expect-error nothing is forwarded unjudged, unrecorded, unlimited or unscreened
  start.stage('forward', forward)
  // @ts-expect-error a fact is established once
  start.stage('fingerprint', fingerprint(hashes)).stage('fingerprint', fingerprint(hashes))
  // @ts-expect-error a list without an answer cannot be served
  serve(start, [], { report: () => {}, ended: () => {} })
  assert.equal(start.steps.length, 2)
})

test('the order is that of the design', () => {
  const parts: Parts = {
    keys,
    sessions,
    policies,
    desk: {
      ask: () => assert.fail('nothing is held'),
      use: () => assert.fail('nothing is held'),
      wait: () => assert.fail('nothing is held'),
      giveBack: () => assert.fail('nothing is held'),
    },
    limits,
    auditLog,
    budgets: { of: () => [], reserve: () => assert.fail('nothing is reserved') },
    agents: { saw: () => {} },
    bounds: { bodyBytesMax: 1, bufferedBytesMax: 1 },
    fingerprints: hashes,
    route: { candidates: () => [] },
  }
  assert.deepEqual(
    buildPipeline(parts).steps.map(({ name }) => name),
    ['authenticate', 'decode', 'fingerprint', 'admit', 'judge', 'enforce', 'screen reply', 'open record', 'forward'],
  )
  assert.ok(admit)
})
