import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseUnavailable, databaseErrorCode, isUnavailable, violatedUnique, within } from '../../src/db/unavailable.ts'

const coded = (code: string, more: object = {}) => Object.assign(new Error('x'), { code, ...more })
const wrapped = (cause: unknown) => new Error('Failed query', { cause })

test('what does not answer in time is unavailable', async () => {
  await assert.rejects(within(5, new Promise(() => {})), DatabaseUnavailable)
  await assert.rejects(within(5, new Promise(() => {})), isUnavailable)
})

test('what answers in time is passed on, a failure too, and leaves no timer behind', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  assert.equal(await within(2 ** 30, Promise.resolve(7)), 7)
  await assert.rejects(within(2 ** 30, Promise.reject(new TypeError('no'))), TypeError)
  assert.equal(timers(), before)
})

const outages = [
  'CONNECTION_CLOSED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  '57P01',
  '57P03',
  '57014',
  '53300',
  '53100',
  '08006',
  '58030',
  '25006',
  '55P03',
]
for (const code of outages) test(`${code} is an outage, also as a cause`, () => assert.ok(isUnavailable(coded(code)) && isUnavailable(wrapped(coded(code)))))

const mistakes = ['23505', '42601', '42P01', '22P02', '28P01', '3D000', 'MAX_PARAMETERS_EXCEEDED', 'ERR_INVALID_ARG_TYPE']
for (const code of mistakes) test(`${code} is no outage`, () => assert.ok(!isUnavailable(wrapped(coded(code)))))

test('a missing socket file is an outage, a missing migration is not', () => {
  assert.ok(isUnavailable(coded('ENOENT', { syscall: 'connect' })))
  assert.ok(!isUnavailable(coded('ENOENT', { syscall: 'open' })))
})

test('anything may be thrown', () => {
  for (const thing of [undefined, null, 'x', 7, {}, Object.assign(new Error('x'), { code: 7 })])
    assert.ok(!isUnavailable(thing) && databaseErrorCode(thing) === undefined)
  const circular: { cause?: unknown } = {}
  circular.cause = circular
  assert.ok(!isUnavailable(circular))
})

test('the index that was violated is named', () => {
  assert.equal(violatedUnique(wrapped(coded('23505', { constraint_name: 'api_keys_hash' }))), 'api_keys_hash')
  assert.equal(violatedUnique(wrapped(coded('23503', { constraint_name: 'fk' }))), undefined)
})
