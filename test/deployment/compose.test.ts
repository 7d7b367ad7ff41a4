import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { type ComposeFile, composeProblems, type Service } from './compose-file.ts'
import { STOP_SECONDS_MORE, wrongSettings } from './settings-named.ts'
import { wrongCommand } from './verbs-named.ts'
import { wholeConfig } from './whole-config.ts'

const root = join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const read = (file: string): ComposeFile => parse(readFileSync(join(root, file), 'utf8'), { merge: true }) as ComposeFile
const tryOut = read('docker-compose.yml')
const production = read('docker-compose.prod.yml')

const files = { 'docker-compose.yml': tryOut, 'docker-compose.prod.yml': production }
const services = Object.entries(files).flatMap(([file, { services }]) =>
  Object.entries(services).map(([name, service]) => ({ name: `${file}: ${name}`, service, file })),
)
const isOurs = ({ image }: Service): boolean => image.startsWith('earthflow')
const seconds = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1])

test('both files have the services they should, and no key that Compose does not know', () => {
  assert.deepEqual(Object.keys(tryOut.services).toSorted(), ['dashboard', 'postgres', 'proxy', 'redis', 'secrets'])
  assert.deepEqual(Object.keys(production.services).toSorted(), ['dashboard', 'nginx', 'postgres', 'proxy', 'redis', 'tools'])
  for (const [file, content] of Object.entries(files)) assert.deepEqual(composeProblems(content), [], file)
  const misspelt = structuredClone(production)
  Object.assign(misspelt.services.proxy!, { mem_limits: '1g' })
  assert.equal(composeProblems(misspelt).length, 1)
})

test('every image has a version, ours this one, unless EARTHFLOW_VERSION says another, and can be built where it is missing', () => {
  for (const { name, service } of services) {
    assert.equal(service.build !== undefined, isOurs(service), name)
    if (isOurs(service)) assert.match(service.image, new RegExp(`^earthflow(?:-tools)?:\\$\\{EARTHFLOW_VERSION:-${version.replaceAll('.', '\\.')}\\}$`), name)
    else assert.match(service.image, /^[a-z]+:\d+\.\d+(?:\.\d+)?-[a-z]+$/, name)
  }
})

test('every variable of ours is a setting with a value it takes', () => {
  for (const { name, service } of services) if (isOurs(service) && service.environment) assert.deepEqual(wrongSettings(textsOf(service)), [], name)
})

test('Earthflow takes the whole environment of each of its services', () => {
  for (const { name, service, file } of services) {
    if (!isOurs(service) || !service.environment) continue
    const config = wholeConfig(textsOf(service))
    assert.equal(config.env, file === 'docker-compose.yml' ? 'development' : 'production', name)
    assert.deepEqual([config.database.kind, config.redisUrl === null, config.unknown], ['postgres', false, []], name)
    if (name.endsWith('dashboard')) assert.deepEqual([config.services, config.dashboard.host], ['dashboard', '0.0.0.0'], name)
  }
})

test('every service has bounds of memory, processor and processes, can gain no rights and starts again by itself', () => {
  for (const { name, service } of services) {
    for (const key of ['mem_limit', 'cpus', 'pids_limit'] as const) assert.ok(service[key], `${name}: ${key}`)
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name)
    const isOnce = name.endsWith('tools') || name.endsWith('secrets')
    assert.equal(service.restart, isOnce ? 'no' : 'unless-stopped', name)
    assert.equal(service.container_name, undefined, `${name}: a name of its own would forbid a second one`)
  }
})

test('in production every root is read-only, nobody is root or has rights, and logs are turned over', () => {
  for (const [name, service] of Object.entries(production.services)) {
    assert.equal(service.read_only, true, name)
    assert.deepEqual(service.cap_drop, ['ALL'], name)
    assert.match(service.user ?? '', /^[1-9]\d*:[1-9]\d*$/, name)
    assert.ok(
      service.tmpfs?.some((each) => /^\/tmp:size=\d+m/.test(each)),
      name,
    )
    assert.deepEqual(service.logging, { driver: 'json-file', options: { 'max-size': '50m', 'max-file': '5' } }, name)
    const { healthcheck } = service
    assert.ok(name === 'tools' ? healthcheck?.disable : healthcheck?.test, `${name} is looked after`)
  }
})

test('every secret is a file that the service is given, and one that scripts/make-secrets makes or the operator brings', () => {
  const made = /for name in ([\w -]+); do/.exec(readFileSync(join(root, 'scripts', 'make-secrets'), 'utf8'))?.[1]?.split(' ') ?? []
  for (const [name, { file }] of Object.entries(production.secrets ?? {})) {
    assert.equal(file, `./secrets/${name}`)
    assert.ok(made.includes(name) || name.startsWith('tls.'), name)
  }
  for (const [name, service] of Object.entries(production.services)) {
    for (const secret of service.secrets ?? []) assert.ok(production.secrets?.[secret], `${name}: ${secret}`)
    for (const [variable, path] of Object.entries(textsOf(service)))
      if (variable.endsWith('_FILE')) assert.ok(service.secrets?.includes(path.replace('/run/secrets/', '')), `${name}: ${variable}`)
  }
  const written = JSON.stringify(tryOut.services.secrets?.command)
  for (const [name, service] of Object.entries(tryOut.services)) {
    for (const [variable, path] of Object.entries(textsOf(service))) {
      if (!variable.endsWith('_FILE')) continue
      assert.ok(service.volumes?.includes('secrets:/run/secrets/earthflow:ro'), `${name}: ${variable}`)
      assert.ok(written.includes(`'${path.replace('/run/secrets/earthflow/', '')}'`), `${name}: ${variable}`)
    }
  }
})

test('a container has the time to end its calls before it is killed', () => {
  for (const { name, service } of services) {
    const drain = Number(service.environment?.EARTHFLOW_DRAIN_SECONDS ?? Number.NaN)
    if (isOurs(service) && service.restart !== 'no') assert.ok(seconds(service.stop_grace_period ?? '10s') >= drain + STOP_SECONDS_MORE, name)
  }
  assert.equal(production.services.nginx?.stop_grace_period, production.services.proxy?.stop_grace_period, 'what stands in front ends no sooner')
})

test('proxies can be several: no port of the machine, no name and no volume is one’s alone; nginx stands in front, and its network is the one that is trusted', () => {
  const { proxy, nginx } = production.services
  assert.equal(proxy?.ports, undefined)
  assert.deepEqual(proxy?.volumes, ['/var/lib/earthflow'], 'a volume for each')
  assert.deepEqual(nginx?.networks, ['front'])
  assert.ok(proxy?.networks?.includes('front'))
  assert.equal(production.networks?.front?.ipam?.config[0]?.subnet, proxy?.environment?.TRUSTED_PROXIES)
})

test('PostgreSQL and Redis are reached by Earthflow alone; in the try-out only this machine reaches Earthflow', () => {
  assert.equal(production.networks?.stores?.internal, true)
  for (const name of ['postgres', 'redis']) {
    assert.deepEqual(production.services[name]?.networks, ['stores'], name)
    assert.equal(production.services[name]?.ports ?? tryOut.services[name]?.ports, undefined, name)
  }
  for (const { ports = [] } of Object.values(tryOut.services)) for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
})

test('Redis asks for a password, holds 256 MB and forgets nothing that was counted', () => {
  for (const { services } of Object.values(files)) {
    const command = String(services.redis?.command)
    assert.match(command, /requirepass/)
    assert.match(command, /--maxmemory 256mb --maxmemory-policy noeviction/)
  }
})

test('health checks ask with a verb of the program, and what is mounted from the project is there', async () => {
  for (const { name, service } of services) {
    const test = service.healthcheck?.test
    const program = test?.indexOf('/app/src/main.ts') ?? -1
    if (isOurs(service) && test) {
      assert.ok(program > 0, name)
      assert.deepEqual(await wrongCommand(test.slice(program + 1)), [], name)
    }
    for (const volume of service.volumes ?? []) {
      const [from = ''] = volume.split(':')
      if (from.startsWith('./') && from !== './backups') assert.ok(existsSync(join(root, from)), `${name}: ${from}`)
    }
  }
})

/** Its environment as texts, as Compose hands it on. */
function textsOf({ environment = {} }: Service): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]))
}
