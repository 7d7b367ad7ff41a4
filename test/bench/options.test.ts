import assert from 'node:assert/strict'
import { test } from 'node:test'
import { help, readArguments } from '../../scripts/bench/options.ts'
import { benchSets } from '../../scripts/bench/sets.ts'

const read = (...args: string[]) => readArguments(args, 1)

test('without options all sets are measured, and one Earthflow alone', () => {
  const all = read()
  assert.deepEqual(all?.sets, benchSets)
  assert.deepEqual([all?.rounds, all?.seconds, all?.starts, all?.inside, all?.steadyMinutes], [3, 2, 5, ['plain', '64k'], 0])
})

test('servers and cases make a set of their own', () => {
  const chosen = read('--servers', 'nginx,earthflow-on', '--cases', '64k', '--rounds', '1', '--seconds', '9')
  assert.deepEqual(
    chosen?.sets.map(({ name, servers, cases }) => ({ name, servers, cases })),
    [{ name: 'chosen', servers: ['nginx', 'earthflow-on'], cases: ['64k'] }],
  )
  assert.deepEqual([chosen?.rounds, chosen?.seconds, chosen?.starts], [1, 9, 0])
})

test('--steady alone measures nothing else', () => {
  const steady = read('--steady', '10')
  assert.deepEqual([steady?.steadyMinutes, steady?.sets, steady?.starts], [10, [], 0])
})

test('--sets all with --steady measures everything, so that one run is the whole record', () => {
  const whole = read('--sets', 'all', '--steady', '10', '--record')
  assert.deepEqual([whole?.sets, whole?.starts, whole?.steadyMinutes, whole?.record], [benchSets, 5, 10, true])
})

test('what makes no sense is said in a sentence', () => {
  assert.throws(() => read('--servers', 'apache'), /There is no server apache; there is direct, nginx/)
  assert.throws(() => read('--cases', 'huge'), /There is no case huge/)
  assert.throws(() => read('--sets', 'most'), /There is no set most/)
  assert.throws(() => read('--rounds', '0'), /--rounds is a whole number above 0/)
  assert.throws(() => read('--sets', 'tls', '--cases', 'plain'), /say the one or the others/)
  assert.throws(() => read('--steady', '10', '--record'), /would forget all the rest/)
  assert.throws(() => read('--nonsense'))
})

test('help names every set, server and case', () => {
  assert.equal(read('--help'), null)
  for (const name of ['steps', 'haproxy-tls', 'earthflow-rules-1000', 'agent-repeated', '--record']) assert.ok(help().includes(name), name)
})
