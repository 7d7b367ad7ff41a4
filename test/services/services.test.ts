import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { packagesToUnpack } from './debian.ts'
import { firstThatWorks, forcedOrigin } from './origin.ts'
import { newestOf, postgresVersion } from './postgres.ts'
import { askRedis, redisVersion } from './redis.ts'
import { chooseAccount, removeStaleFolders } from './server-process.ts'
import { startServices } from './services.ts'

// `npm test` gives every file its servers; run by hand, this file starts its own.
const own = process.env.EARTHFLOW_TEST_RUN === '1' ? null : await startServices()
after(() => own?.stop())
const databaseUrl = own?.databaseUrl ?? process.env.TEST_DATABASE_URL
const redisUrl = own?.redisUrl ?? process.env.TEST_REDIS_URL

test('the tests run against a real PostgreSQL of version 14 or later', async () => {
  assert.ok(databaseUrl, 'TEST_DATABASE_URL is set')
  const sql = postgres(databaseUrl, { max: 1 })
  try {
    const [row] = await sql`select version() as version, current_setting('server_version_num')::int as number`
    assert.match(row?.version, /^PostgreSQL \d+/)
    assert.ok(row?.number >= 140_000)
  } finally {
    await sql.end()
  }
})

test('the tests run against a real Redis', { skip: redisUrl === undefined && 'no Redis can be had on this machine' }, async () => {
  const { hostname, port, password } = new URL(redisUrl!)
  const answer = await askRedis(Number(port || 6379), [...(password ? [`AUTH ${password}`] : []), 'PING'], hostname)
  assert.match(answer, /\+PONG\r\n/)
})

test('a server of ours writes durably, and a run killed with SIGKILL leaves neither it nor its folder', async () => {
  const script = `
    const { startPostgres } = await import(${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)})
    console.log((await startPostgres()).url)
    setInterval(() => {}, 1000)`
  // In a temporary directory of its own, so that nothing in it can be anybody else's.
  const temporary = mkdtempSync(join(tmpdir(), 'earthflow-kill-'))
  chmodSync(temporary, 0o1777)
  const run = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [printed] = await once(run.stdout, 'data')
    const url = new URL(String(printed).trim())
    const sql = postgres(url.href, { max: 1 })
    assert.deepEqual([...(await sql`show fsync`), ...(await sql`show synchronous_commit`)], [{ fsync: 'on' }, { synchronous_commit: 'on' }])
    await sql.end()

    run.kill('SIGKILL')
    await until(async () => !(await isListening(Number(url.port))))
    await until(() => readdirSync(temporary).length === 0)
  } finally {
    run.kill('SIGKILL')
    rmSync(temporary, { recursive: true, force: true, maxRetries: 5 })
  }
})

test('folders of dead runs are removed, those of live ones kept', () => {
  const dead = join(tmpdir(), 'earthflow-test-99999999-stale')
  const live = join(tmpdir(), `earthflow-test-${process.pid}-live`)
  mkdirSync(dead)
  mkdirSync(live)
  try {
    removeStaleFolders()
    assert.equal(existsSync(dead), false)
    assert.equal(existsSync(live), true)
  } finally {
    rmSync(live, { recursive: true })
  }
})

test('origins are tried in order, and a forced one is the only one', async () => {
  const fails = async () => Promise.reject(new Error('not here'))
  assert.equal(await firstThatWorks('X', undefined, { found: fails, apt: async () => 'apt', npm: async () => 'npm' }), 'apt')
  assert.equal(await firstThatWorks('X', 'npm', { found: async () => 'found', npm: async () => 'npm' }), 'npm')
  await assert.rejects(firstThatWorks('X', 'apt', { found: async () => 'found', apt: fails }), /No X can be had\.\n {2}apt: not here$/)
  await assert.rejects(firstThatWorks('X', undefined, { found: fails, npm: fails }), /found: not here\n {2}npm: not here/)
  // A server that npm does not have is not lost because npm was forced for the other.
  assert.equal(await firstThatWorks('X', 'npm', { found: async () => 'found', apt: fails }), 'found')
})

test('a forced origin that does not exist is refused with the list', () => {
  assert.equal(forcedOrigin(undefined), undefined)
  assert.equal(forcedOrigin(''), undefined)
  assert.equal(forcedOrigin('apt'), 'apt')
  assert.throws(() => forcedOrigin('docker'), /must be one of found, apt, npm, not "docker"/)
})

test('the newest PostgreSQL from 14 on is chosen, by number and not by text', () => {
  const versions = ['9.6.24', '13.22', '14.2', '15.9', '15.18', '16.1'].map((version) => ({ version }))
  assert.equal(newestOf(versions)?.version, '16.1')
  assert.equal(newestOf(versions.slice(0, 5))?.version, '15.18')
  assert.equal(newestOf(versions.slice(0, 2)), null)
})

test('versions are read from what the programs print', () => {
  assert.equal(postgresVersion('postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n'), '15.18')
  assert.equal(postgresVersion('postgres (PostgreSQL) 18beta1\n'), '18')
  assert.equal(postgresVersion('something else'), null)
  assert.equal(redisVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1'), 'Redis 7.0.15')
  assert.equal(redisVersion('Valkey server v=8.1.1 sha=00000000:0'), 'Valkey 8.1.1')
  assert.equal(redisVersion(''), null)
})

test('of what apt would install, only the server and its libraries are unpacked', () => {
  const plan = ['libllvm14', 'libpq5', 'libjson-perl', 'postgresql-common', 'perl', 'postgresql-client-15', 'postgresql-15', 'libc6', 'libxml2']
  const printed = plan.map((name) => `Inst ${name} (1.0 Debian:12/oldstable [amd64])`).join('\n')
  assert.deepEqual(packagesToUnpack(`NOTE: a simulation\n${printed}\nConf libpq5`, ['postgresql-15', 'libpq5']), ['postgresql-15', 'libpq5', 'libxml2'])
  assert.deepEqual(packagesToUnpack('0 newly installed', ['redis-server', 'redis-tools']), ['redis-server', 'redis-tools'])
})

test('root lends the servers an ordinary account, everybody else uses their own', () => {
  const passwd = 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n'
  assert.deepEqual(chooseAccount(1000, passwd), {})
  assert.deepEqual(chooseAccount(0, passwd), { uid: 101, gid: 104 })
  assert.deepEqual(chooseAccount(0, passwd.replace('postgres', 'other')), { uid: 65534, gid: 65534 })
  assert.deepEqual(chooseAccount(0, ''), { uid: 65534, gid: 65534 })
})

/** Waits, at most ten seconds, for what another process is about to do. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 60_000
  while (!(await holds())) {
    assert.ok(Date.now() < giveUpAt, `still waiting for: ${holds}`)
    await delay(20)
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
