import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLookup } from '../../src/egress/lookup.ts'

/** A resolver that answers when told to. */
function scripted() {
  const open = new Map<string, (answer: string[] | Error) => void>()
  const asked: string[] = []
  const resolve = (host: string): Promise<readonly string[]> => {
    asked.push(host)
    return new Promise((answer, fail) => open.set(host, (value) => (value instanceof Error ? fail(value) : answer(value))))
  }
  return { asked, resolve, answer: (host: string, value: string[] | Error) => open.get(host)?.(value) }
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('only two names are resolved at once, the others wait their turn', async () => {
  const { asked, resolve, answer } = scripted()
  const lookup = createLookup(resolve)
  const all = ['a', 'b', 'c', 'd'].map(lookup)
  await settled()
  assert.deepEqual(asked, ['a', 'b'])
  answer('b', new Error('no such name'))
  await assert.rejects(all[1], /no such name/)
  await settled()
  assert.deepEqual(asked, ['a', 'b', 'c'])
  answer('a', ['1.1.1.1'])
  answer('c', ['1.1.1.2'])
  await settled()
  answer('d', ['1.1.1.3'])
  assert.deepEqual(await Promise.all([all[0], all[2], all[3]]), [['1.1.1.1'], ['1.1.1.2'], ['1.1.1.3']])
})

test('questions for one name share one answer for three seconds, failures too', async () => {
  let now = 0
  let count = 0
  const lookup = createLookup(
    async (host) => {
      count++
      if (host === 'bad') throw new Error('no such name')
      return [`1.1.1.${count}`]
    },
    () => now,
  )
  assert.deepEqual(await Promise.all([lookup('a'), lookup('a')]), [['1.1.1.1'], ['1.1.1.1']])
  now = 2_999
  assert.deepEqual(await lookup('a'), ['1.1.1.1'])
  now = 3_000
  assert.deepEqual(await lookup('a'), ['1.1.1.2'])
  await assert.rejects(lookup('bad'))
  await assert.rejects(lookup('bad'))
  assert.equal(count, 3)
  now = 6_000
  await assert.rejects(lookup('bad'))
  assert.equal(count, 4)
})

test('more waiting names than the bound are refused at once', async () => {
  const { asked, resolve } = scripted()
  const lookup = createLookup(resolve)
  for (let i = 0; i < 258; i++) void lookup(`n${i}`)
  await assert.rejects(lookup('one-more'), /Too many names/)
  assert.equal(asked.length, 2)
})

test('the system resolver is asked: names of /etc/hosts are known', async () => {
  const addresses = await createLookup()('localhost')
  assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'))
})
