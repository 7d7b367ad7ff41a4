import assert from 'node:assert/strict'
import { existsSync, globSync } from 'node:fs'
import { test } from 'node:test'
import { areaOfStack, attribute, type CpuProfile } from '../../scripts/bench/figures/profile.ts'

const src = (path: string): string => `file:///somewhere/src/${path}`

test('a sample belongs to the innermost frame that has an area', () => {
  assert.equal(areaOfStack('hash', ['', src('pipeline/fingerprint.ts'), src('pipeline/run.ts'), src('proxy/app.ts')]), 'fingerprint')
  assert.equal(areaOfStack('writeHead', ['node:_http_server', src('pipeline/relay.ts'), 'file:///x/node_modules/undici/lib/a.js']), 'http server')
  assert.equal(areaOfStack('write', ['node:net', 'file:///x/node_modules/undici/lib/a.js']), 'undici')
})

test('what stages share belongs to the stage, and to itself where no stage called it', () => {
  assert.equal(areaOfStack('add', [src('audit/spool.ts'), src('pipeline/audit.ts'), src('pipeline/open-record.ts')]), 'open record')
  assert.equal(areaOfStack('add', [src('audit/spool.ts')]), 'settle: audit')
  assert.equal(areaOfStack('go', [src('pipeline/run.ts')]), 'run')
})

test('idle time is nobody’s, garbage has a name of its own, and what nobody knows is everything else', () => {
  assert.equal(areaOfStack('(idle)', ['']), null)
  assert.equal(areaOfStack('(garbage collector)', ['', src('pipeline/judge.ts')]), 'garbage collection')
  assert.equal(areaOfStack('(program)', ['']), 'everything else')
})

test('a profile is summed up by area, the largest first, without idle time', () => {
  const node = (id: number, functionName: string, url: string, children: number[] = []) => ({ id, callFrame: { functionName, url }, children })
  const profile: CpuProfile = {
    nodes: [
      node(1, '(root)', '', [2, 3]),
      node(2, '(idle)', ''),
      node(3, 'judge', src('pipeline/judge.ts'), [4]),
      node(4, 'find', src('rules/search/search.ts')),
      node(5, 'x', ''),
    ],
    samples: [2, 3, 4, 5, 3],
    timeDeltas: [1, 10, 20, 30, 5],
  }
  assert.deepEqual(attribute(profile), [
    { name: 'judge', us: 50 },
    { name: 'everything else', us: 5 },
  ])
})

test('every file of the pipeline has an area', () => {
  const nameless = globSync('src/pipeline/*.ts').filter((path) => areaOfStack('any', [`file:///${path}`]) === 'everything else')
  assert.deepEqual(nameless, [])
  for (const name of ['authenticate', 'decode', 'fingerprint', 'admit', 'judge', 'enforce', 'screen-reply', 'open-record', 'forward'])
    assert.equal(existsSync(`src/pipeline/${name}.ts`) && areaOfStack('any', [`file:///src/pipeline/${name}.ts`]), name.replace('-', ' '))
})
