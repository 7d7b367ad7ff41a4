import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, afterEach, before, test } from 'node:test'
import { recordOnce } from '../../src/audit/record-change.ts'
import { newId } from '../../src/ids.ts'
import { createExpiryWatch, type Expiring, type ExpiryWatch } from '../../src/proxy/certificate-expiry.ts'
import { seal } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { forget, listen, queued } from '../webhooks/endpoints-of.ts'
import { makeAuthority } from './client-certificates.ts'

const DAY_MS = 86_400_000
const authority = await makeAuthority()
const [one, another] = await Promise.all([authority.issue({ usage: 'server', to: 90 }), authority.issue({ usage: 'server', to: 90 })])
const end = new X509Certificate(one.cert).validToDate.getTime()

let watches: ExpiryWatch[] = []
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.close()))
  watches = []
})
const watchOf = (tell: (expiring: Expiring) => Promise<void>, now: () => number, report: (error: unknown) => void = () => assert.fail()): ExpiryWatch => {
  const watch = createExpiryWatch({ tell, report, now })
  watches.push(watch)
  return watch
}

test('a certificate is told at 30, 14, 7, 3 days and one before its end, once each, and never before', async () => {
  const told: [day: number, days: number][] = []
  let left = 90
  const watch = watchOf(
    async ({ days }) => void told.push([left, days]),
    () => end - left * DAY_MS,
  )
  await watch.served(one.cert)
  for (; left >= -1; left -= 0.25) await watch.look()
  assert.deepEqual(told, [
    [30, 30],
    [14, 14],
    [7, 7],
    [3, 3],
    [1, 1],
  ])
})

test('one that is taken late is told at once, with the nearest of the thresholds alone; another that takes its place is told for itself', async () => {
  const told: Expiring[] = []
  const watch = watchOf(
    async (expiring) => void told.push(expiring),
    () => end - 5 * DAY_MS,
  )
  await watch.served(one.cert)
  await watch.served(one.cert)
  await watch.served(another.cert)
  assert.deepEqual(
    told.map(({ fingerprint, expiresAt, days }) => [fingerprint, expiresAt.getTime() - end < 60_000, days]),
    [one, another].map(({ cert }) => [new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase(), true, 7]),
  )
})

test('what could not be told is told at the next look', async () => {
  const reported: unknown[] = []
  let isAway = true
  let told = 0
  const watch = watchOf(
    async () => {
      if (isAway) throw new Error('away')
      told++
    },
    () => end - DAY_MS,
    (error) => reported.push(error),
  )
  await watch.served(one.cert)
  isAway = false
  await watch.look()
  await watch.look()
  assert.deepEqual([told, reported.length], [1, 1])
})

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  afterEach(() => forget(database))
  after(() => database.drop())

  test(`${engine}: of processes that start together, and start again, one tells of each threshold`, async () => {
    await listen(database, null, ['CERTIFICATE_EXPIRING'])
    let left = 6
    const start = (): ExpiryWatch =>
      watchOf(
        async ({ fingerprint, expiresAt, days, since }) => {
          const details = { expires_at: expiresAt.toISOString(), days }
          const what = { action: 'certificate.expiring', subject: fingerprint, tenantId: null, details, actor: 'system', keyPrefix: null } as const
          await recordOnce(database.db, { ...what, requestId: newId('req'), at: new Date(end - left * DAY_MS) }, since, seal)
        },
        () => end - left * DAY_MS,
      )
    const many = Array.from({ length: 10 }, start)
    await Promise.all(many.map((watch) => watch.served(one.cert)))
    await start().served(one.cert)
    left = 2.5
    await Promise.all([...many.map((watch) => watch.look()), start().served(one.cert)])
    assert.deepEqual(
      (await queued(database)).map(({ data }) => (data.details as { days: number }).days),
      [7, 3],
    )
  })
})
