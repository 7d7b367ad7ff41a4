import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openArchive } from '../../src/backup/archive.ts'
import { writeManifest } from '../../src/backup/manifest.ts'
import { findProgram } from '../../src/backup/postgres-programs.ts'
import { end, headerOf, paddingOf } from '../../src/backup/tar.ts'
import { Told } from '../../src/cli/told.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { connect } from '../../src/db/connect.ts'
import { createServerDatabase, type Engine } from '../db/engines.ts'
import { ADMIN_KEY, chat, type Flow, MASTER_KEY, startEarthflow, until } from '../harness/earthflow.ts'
import { emptyPlace, flipByte, placeOf, runBackup, runRestore, withoutDumps } from './installations.ts'

const NUMBER = '536-90-4399'
async function checkArchive(path: string): Promise<void> {
  const archive = await openArchive(path)
  try {
    await archive.check(() => {})
  } finally {
    await archive.close()
  }
}
const FINGERPRINT = masterKeyId(parseMasterKeys(MASTER_KEY)[0])

for (const engine of ['pglite', 'postgres'] as const satisfies readonly Engine[]) {
  describe(`on ${engine}`, { skip: engine === 'postgres' && withoutDumps }, () => {
    const dir = mkdtempSync(join(tmpdir(), 'earthflow-backup-'))
    const path = join(dir, 'whole.tar')
    let flow: Flow
    let key = ''
    let made = ''

    before(async () => {
      flow = await startEarthflow({ engine, preset: 'default' })
      await flow.rule({ name: 'mine', condition: { operator: 'contains', value: 'forbidden', target: 'prompt' }, action: 'BLOCK' })
      for (const text of ['Hello', `My number is ${NUMBER}`, 'forbidden']) await flow.post('/v1/chat/completions', chat(text))
      await flow.rowsOf(3)
      await flow.stopEarly()
      key = flow.tenant.api_key
      const { code, out, error } = await runBackup(['--output', path], placeOf(flow))
      assert.deepEqual([code, error], [0, ''])
      made = out
    })
    after(async () => {
      await flow.close()
      rmSync(dir, { recursive: true, force: true })
    })

    test('a backup is one file for its owner alone, which tar unpacks, and says what is in it and under which master key', async () => {
      assert.equal(statSync(path).mode & 0o777, 0o600)
      assert.deepEqual(readdirSync(dir), ['whole.tar'])
      assert.match(made, /1 tenants, \d+ entries of the audit log, under master key /)
      const to = join(dir, 'unpacked')
      mkdirSync(to)
      execFileSync('tar', ['-xf', path, '-C', to])
      const manifest = JSON.parse(readFileSync(join(to, 'manifest.json'), 'utf8'))
      assert.deepEqual([manifest.format, manifest.engine, manifest.master_keys, manifest.counts.tenants], ['earthflow-backup/1', engine, [FINGERPRINT], 1])
      const { rules } = JSON.parse(readFileSync(join(to, 'rules', `${flow.tenant.tenant_id}.json`), 'utf8'))
      assert.ok(rules.some((rule: { name: string }) => rule.name === 'mine'))
      assert.equal(rules.length, manifest.counts.rules)
      assert.equal(JSON.parse(readFileSync(join(to, 'tenants.json'), 'utf8')).tenants[0].id, flow.tenant.tenant_id)
      rmSync(to, { recursive: true })
    })

    test('no secret and nothing that was said is in it', () => {
      const bytes = execFileSync(
        'sh',
        [
          '-c',
          `tar -xf "${path}" -O; tar -xf "${path}" -O spool.tar.gz | gunzip; ${engine === 'pglite' ? `tar -xf "${path}" -O database.tar.gz | gunzip` : `tar -xf "${path}" -O database.dump | pg_restore -f -`}`,
        ],
        { maxBuffer: 1 << 30 },
      )
      assert.ok(bytes.includes(key.slice(0, 16)), 'it was read')
      for (const secret of [MASTER_KEY, Buffer.from(MASTER_KEY, 'base64url'), ADMIN_KEY, key, flow.credential, NUMBER])
        assert.equal(bytes.includes(secret), false)
    })

    test('after the loss of everything it is restored, its log holds, and Earthflow works on it as before', async () => {
      const to = await emptyPlace(engine)
      try {
        const { code, out, error } = await runRestore([path], to.place)
        assert.deepEqual([code, error], [0, ''], out)
        assert.match(out, /It was restored\.[\s\S]* [1-9]\d* from outside were compared with it\.[\s\S]*All of it holds\.\n$/)
        const again = await startEarthflow({ databaseUrl: to.databaseUrl, environment: { EARTHFLOW_DATA_DIR: to.dataDir } })
        try {
          const body = chat('forbidden again')
          const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
          const answer = await fetch(`${again.origin}/v1/chat/completions`, { method: 'POST', body, headers })
          assert.equal(answer.status, 403)
          const rows = async () => ((await again.admin('GET', `/v1/audit?tenant_id=${flow.tenant.tenant_id}`)).json as { total: number }).total
          await until(async () => (await rows()) === 4, 'the old rows and the new one')
          const changes = (await again.admin('GET', '/v1/audit?kind=change&limit=1000')).json as { entries: { reason: string }[] }
          assert.equal(changes.entries.filter(({ reason }) => reason === 'backup.restore').length, 1)
          assert.equal(((await again.admin('GET', '/v1/audit/verify')).json as { holds?: boolean }).holds ?? true, true)
        } finally {
          await again.close()
        }
      } finally {
        await to.remove()
      }
    })

    test('another master key is refused by its fingerprint, before anything is changed', async () => {
      const to = await emptyPlace(engine)
      try {
        const other = generateMasterKey()
        const { code, error } = await runRestore([path], { ...to.place, EARTHFLOW_MASTER_KEY: other })
        assert.equal(code, 1)
        assert.ok(error.includes(`fingerprint is ${FINGERPRINT}`) && error.includes(masterKeyId(parseMasterKeys(other)[0])) && !error.includes(other), error)
        assert.match((await runRestore([path], { ...to.place, EARTHFLOW_MASTER_KEY: '' })).error, /EARTHFLOW_MASTER_KEY is missing/)
        assert.deepEqual(readdirSync(to.dataDir), [])
        assert.equal((await runRestore([path], { ...to.place, EARTHFLOW_MASTER_KEY: `${other},${MASTER_KEY}` })).code, 0, 'an older key in the list will do')
      } finally {
        await to.remove()
      }
    })

    test('a byte that was changed anywhere is found, before anything is changed', async () => {
      const to = await emptyPlace(engine)
      const changed = join(dir, 'changed.tar')
      try {
        const bytes = readFileSync(path)
        const places = [0, 124, 148, 154, 155, 600, bytes.length - 1, bytes.lastIndexOf('"counts"') + 20, bytes.indexOf('"tenants":') + 20]
        for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 97)) places.push(at)
        for (const at of places) {
          cpSync(path, changed)
          flipByte(changed, at, bytes)
          await assert.rejects(
            checkArchive(changed),
            (error) => error instanceof Told && /^The archive (?:is|was)|holds no manifest/.test(error.message),
            `byte ${at}`,
          )
        }
        const { code, error } = await runRestore([changed], to.place)
        assert.deepEqual([code, /^The archive (?:is|was)/.test(error)], [1, true], error)
        assert.deepEqual(readdirSync(to.dataDir), [])
      } finally {
        rmSync(changed, { force: true })
        await to.remove()
      }
    })

    test('a dry run says what would be restored, and changes nothing', async () => {
      const to = await emptyPlace(engine)
      try {
        const { code, out } = await runRestore([path, '--dry-run'], to.place)
        assert.equal(code, 0)
        assert.match(out, /1 tenants, [\s\S]*It can be restored here\. Nothing was changed/)
        assert.deepEqual(readdirSync(to.dataDir), [])
      } finally {
        await to.remove()
      }
    })

    test('where there is a database it is refused, and with --force what was there is kept aside, not deleted', async () => {
      const to = await emptyPlace(engine)
      try {
        assert.equal((await runRestore([path], to.place)).code, 0)
        assert.match((await runRestore([path], to.place)).error, /There is a database already\. With --force it is moved aside/)
        const { code, out } = await runRestore([path, '--force', '--json'], to.place)
        assert.equal(code, 0)
        const { keptAt, report } = JSON.parse(out)
        assert.equal(report.holds, true)
        if (engine === 'pglite') assert.ok(existsSync(keptAt))
        else {
          const aside = await connect({ kind: 'postgres', url: to.databaseUrl })
          const schema = /earthflow_replaced_\w+_public/.exec(keptAt)?.[0] ?? ''
          assert.equal((await aside.sql`select name from ${aside.sql(schema)}.tenants`).length, 1)
          await aside.close()
        }
        assert.equal((await runBackup(['--output', join(dir, 'again.tar')], to.place)).code, 0, 'what is aside is no part of the next backup')
      } finally {
        await to.remove()
      }
    })

    /** The same archive with another manifest, which its hash is right for. */
    async function withManifest(change: object): Promise<string> {
      const archive = await openArchive(path)
      const { format: _, ...manifest } = archive.manifest
      await archive.close()
      const text = writeManifest({ ...manifest, ...change })
      const bytes = readFileSync(path)
      const members = { 'manifest.json': text, 'manifest.sha256': `${createHash('sha256').update(text).digest('hex')}  manifest.json\n` }
      const ends = Object.entries(members).flatMap(([name, content]) => {
        const length = Buffer.byteLength(content)
        return [headerOf({ name, bytes: length, isFolder: false }, new Date()), Buffer.from(content), paddingOf(length)]
      })
      const changed = join(dir, 'other.tar')
      writeFileSync(changed, Buffer.concat([bytes.subarray(0, bytes.indexOf('manifest.json\0')), ...ends, end()]))
      return changed
    }

    test('a backup of a newer version is refused', async () => {
      const to = await emptyPlace(engine)
      for (const newer of [{ version: '999.0.0' }, { migration: Date.now() * 2 }])
        assert.match((await runRestore([await withManifest(newer)], to.place)).error, /was made by version .* restore it with that version, or a later one/)
      await to.remove()
    })

    test('where what was restored is not what was backed up, all is as it was before', async () => {
      const to = await emptyPlace(engine)
      try {
        const wrong = await withManifest({ counts: { tenants: 7 } })
        assert.match((await runRestore([wrong], to.place)).error, /tenants has 1 rows, and should have 7\. All is as it was\./)
        assert.equal((await runRestore([path], to.place)).code, 0, 'there is no database yet')
        assert.match((await runRestore([wrong, '--force'], to.place)).error, /All is as it was/)
        const { code, out } = await runBackup(['--output', join(dir, 'still.tar'), '--json'], to.place)
        assert.deepEqual([code, JSON.parse(out).counts.tenants], [0, 1])
      } finally {
        await to.remove()
      }
    })

    test('a name that is taken is not written over, and a folder keeps as many as it is told', async () => {
      assert.match((await runBackup(['--output', path], placeOf(flow))).error, /is there already/)
      const folder = join(dir, 'many')
      mkdirSync(folder)
      const killed = ['earthflow-20251230T000000Z.tar.unfinished_old', 'earthflow-20260101T000000Z.tar.unfinished_new', 'unfinished_other']
      for (const [i, name] of killed.entries()) {
        writeFileSync(join(folder, name), '')
        utimesSync(join(folder, name), 0, Date.UTC(2025, 11, i === 1 ? 31 : 30, 1) / 1_000)
      }
      for (const second of [1, 2, 3]) {
        const { code, error } = await runBackup(['--output', folder, '--keep', '2'], placeOf(flow), { now: () => Date.UTC(2026, 0, 1, 0, 0, second) })
        assert.deepEqual([code, error], [0, ''])
      }
      const kept = ['earthflow-20260101T000000Z.tar.unfinished_new', 'earthflow-20260101T000002Z.tar', 'earthflow-20260101T000003Z.tar', 'unfinished_other']
      assert.deepEqual(readdirSync(folder).sort(), kept)
    })

    test('one that is interrupted leaves nothing behind', async () => {
      const stopped = join(dir, 'stopped.tar')
      const { code, error } = await runBackup(['--output', stopped], placeOf(flow), { signal: AbortSignal.abort() })
      assert.deepEqual([code, error], [1, 'It was interrupted.\n'])
      assert.deepEqual(
        readdirSync(dir).filter((name) => name.includes('stopped')),
        [],
      )
    })
  })
}

test('the embedded database of an Earthflow that runs is neither copied nor replaced', async () => {
  const flow = await startEarthflow({ engine: 'pglite' })
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-backup-'))
  try {
    const { code, error } = await runBackup(['--output', join(dir, 'x.tar')], placeOf(flow))
    assert.equal(code, 1)
    assert.match(error, /is in use by process \d+.* stop Earthflow first\.\n$/)
  } finally {
    rmSync(dir, { recursive: true, force: true })
    await flow.close()
  }
})

test('a backup is made of a PostgreSQL while Earthflow runs, and not restored while one is alive', { skip: withoutDumps }, async () => {
  const flow = await startEarthflow()
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-backup-'))
  const path = join(dir, 'x.tar')
  const to = await createServerDatabase()
  const place = { ...placeOf(flow), DATABASE_URL: to.url, EARTHFLOW_DATA_DIR: dir }
  try {
    await flow.post('/v1/chat/completions', chat('Hello'))
    assert.equal((await runBackup(['--output', path], placeOf(flow))).code, 0)
    const database = await connect({ kind: 'postgres', url: to.url })
    await database.sql`insert into processes (id, host, pid, version) values ('proc_other', 'another-machine', 1, '0')`
    assert.match((await runRestore([path, '--force'], place)).error, /is alive on this database/)
    await database.sql`delete from processes`
    await database.close()
    assert.equal((await runRestore([path, '--force'], place)).code, 0)
    const wrong = await emptyPlace('pglite')
    assert.match((await runRestore([path], wrong.place)).error, /of a PostgreSQL database: set DATABASE_URL/)
    await wrong.remove()
  } finally {
    await to.drop()
    rmSync(dir, { recursive: true, force: true })
    await flow.close()
  }
})

test('without pg_dump, or with one that is too old, it is said what to install', { skip: withoutDumps }, async () => {
  await assert.rejects(
    findProgram('pg_dump', { version: 9_990_000, environment: { PATH: process.env.PATH ?? '' } }),
    /pg_dump is of version \d+, and the server of 999: install/,
  )
})

test('a folder that is not there is not taken for a file', async () => {
  const to = await emptyPlace('pglite')
  const output = join(to.dataDir, 'backups/')
  assert.match((await runBackup(['--output', output], to.place)).error, /backups is no folder: make it first/)
  assert.deepEqual(readdirSync(to.dataDir), [])
  await to.remove()
})

test('arguments that make no sense print how it is used', async () => {
  const nowhere = { EARTHFLOW_DATA_DIR: '/nonexistent' }
  for (const args of [[], ['--output'], ['--output', 'x', 'more'], ['--output', '/nonexistent/x', '--keep', '2'], ['--nonsense']]) {
    const { code, error } = await runBackup(args, nowhere)
    assert.equal(code, 64, args.join(' '))
    assert.match(error, /earthflow backup --output PATH/)
  }
  for (const args of [[], ['a', 'b'], ['--nonsense']]) assert.equal((await runRestore(args, nowhere)).code, 64)
  assert.match((await runRestore(['/nonexistent/x'], nowhere)).error, /^\/nonexistent\/x cannot be read or written: there is no such file or folder\.\n$/)
})
