import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { readStoreConfig } from '../../src/config.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { generateMasterKey, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { connect } from '../../src/db/connect.ts'
import { sql } from '../../src/db/drizzle.ts'
import { USAGE, verifyAudit } from '../../src/verify/cli.ts'
import { createEmbeddedDatabase, createServerDatabase, withoutServer } from '../db/engines.ts'
import { type BuiltLog, createSigningKey } from './build-log.ts'
import { insertLog } from './insert-log.ts'
import { linesOf, tenantLinesOf } from './log-records.ts'
import { createRandom } from './random-entries.ts'
import { buildRandomLog } from './random-log.ts'

const origin = 'earthflow/test'
const key = createSigningKey(origin)
const dir = mkdtempSync(join(tmpdir(), 'earthflow-verify-'))
const path = (name: string): string => join(dir, name)
const { log } = buildRandomLog({ random: createRandom(27), rows: 120, key })
const exportText = (lines: Iterable<string>): string => `${[...lines].join('\n')}\n`
const changed = (text: string): string => text.replace(/"latency_ms":(\d+)/, '"latency_ms":1$1')

interface Ended {
  code: number
  out: string
  error: string
}

async function verify(
  args: readonly string[],
  { stdin = '', environment = {} }: { stdin?: string; environment?: Record<string, string> } = {},
): Promise<Ended> {
  const ended = { code: 0, out: '', error: '' }
  ended.code = await verifyAudit(['verify', ...args], {
    stdin: Readable.from([Buffer.from(stdin)]),
    out: (more) => void (ended.out += more),
    error: (more) => void (ended.error += more),
    settings: () => readStoreConfig(environment, null),
  })
  return ended
}

before(() => {
  mkdirSync(path('checkpoints'))
  for (const { tree_size, note } of log.checkpoints) writeFileSync(path(`checkpoints/${String(tree_size).padStart(16, '0')}.checkpoint`), note)
  writeFileSync(path('checkpoints/public-key'), `${key.vkey}\n`)
  writeFileSync(path('answer.json'), JSON.stringify({ checkpoints: log.checkpoints.map(({ tree_size, note }) => ({ tree_size, note })), public_key: key.vkey }))
  writeFileSync(path('export.jsonl'), exportText(linesOf(log)))
  writeFileSync(path('changed.jsonl'), changed(exportText(linesOf(log))))
  writeFileSync(path('tenant.jsonl'), exportText(tenantLinesOf(log, 'ten_0')))
})
after(() => rmSync(dir, { recursive: true, force: true }))

test('a file is verified by the program itself, with nothing but the public key', async () => {
  for (const [file, code, words] of [
    ['export.jsonl', 0, /All of it holds\./],
    ['changed.jsonl', 1, /It does not hold: 1 problems\.\n- writer wr_\w+, leaf \d+ \(aud_\w+\): the row is not what was logged\n/],
  ] as const) {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/main.ts'), 'audit', 'verify', '--file', path(file), '--public-key', key.vkey], {
      cwd: dir,
      env: { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    assert.match(await text(child.stdout), words)
    assert.deepEqual(await exited, [code, null])
  }
})

test('a file comes from standard input as well, the key from a file, and the report as JSON', async () => {
  const args = ['--file', '-', '--public-key', path('checkpoints/public-key'), '--json']
  const right = await verify(args, { stdin: exportText(linesOf(log)) })
  assert.equal(right.code, 0)
  const report = JSON.parse(right.out)
  assert.deepEqual([report.holds, report.origin, report.entries, report.problems], [true, origin, log.rows.length, []])
  const wrong = await verify(args, { stdin: changed(exportText(linesOf(log))) })
  assert.equal(wrong.code, 1)
  const { problems } = JSON.parse(wrong.out)
  const row = log.rows.find(({ audit_id }) => audit_id === problems[0].audit_id)
  assert.deepEqual([problems.length, problems[0].writer_id, problems[0].seq], [1, row?.writer_id, row?.seq])
})

test('checkpoints from outside are a directory, a note or an answer of the API, and find what was cut off', async () => {
  const cut: BuiltLog = { ...log, checkpoints: log.checkpoints.slice(0, 1) }
  const { tree_size } = cut.checkpoints[0]!
  cut.batches = log.batches.filter(({ tree_index }) => tree_index !== null && tree_index < tree_size)
  const isThere = ({ writer_id, seq }: { writer_id: string; seq: number }): boolean =>
    cut.batches.some((batch) => batch.writer_id === writer_id && batch.first_seq <= seq && seq < batch.first_seq + batch.leaves.length / 32)
  cut.rows = log.rows.filter(isThere)
  cut.superseded = log.superseded.filter(isThere)
  writeFileSync(path('cut.jsonl'), exportText(linesOf(cut)))
  const args = ['--public-key', key.vkey, '--file']
  const newest = `${String(log.checkpoints.at(-1)!.tree_size).padStart(16, '0')}.checkpoint`
  for (const checkpoints of ['checkpoints', `checkpoints/${newest}`, 'answer.json']) {
    assert.equal((await verify([...args, path('export.jsonl'), '--checkpoints', path(checkpoints)])).code, 0, checkpoints)
    const { code, out } = await verify([...args, path('cut.jsonl'), '--checkpoints', path(checkpoints)])
    assert.equal(code, 1)
    assert.match(out, /of the tree are missing: the log ends before the checkpoint of size \d+ from outside/)
  }
})

test("a tenant's export needs checkpoints, and says what it cannot tell", async () => {
  const args = ['--public-key', key.vkey, '--file', path('tenant.jsonl')]
  const { code, error } = await verify(args)
  assert.equal(code, 2)
  assert.match(error, /say --checkpoints/)
  const part = await verify([...args, '--checkpoints', path('answer.json')])
  assert.equal(part.code, 0)
  assert.match(part.out, /Whether entries are missing cannot be told without --whole\./)
})

test('what cannot be verified ends with 2 and a sentence, what makes no sense with 64', async () => {
  writeFileSync(path('empty'), '')
  mkdirSync(path('nothing'))
  const file = ['--file', path('export.jsonl')]
  const withKey = [...file, '--public-key', key.vkey]
  for (const [args, words] of [
    [[...file, '--public-key', 'nonsense'], /neither a key nor a file/],
    [[...file, '--public-key', path('answer.json')], /no public key/],
    [[...file, '--public-key', path('empty')], /no public key/],
    [['--file', path('missing'), '--public-key', key.vkey], /missing cannot be read: there is no such file/],
    [['--file', path('empty'), '--public-key', key.vkey], /nothing in the file/],
    [['--file', dir, '--public-key', key.vkey], /it is a folder/],
    [[...withKey, '--checkpoints', path('nothing')], /holds no checkpoints/],
    [[...withKey, '--checkpoints', path('missing')], /no such file/],
  ] as const) {
    const { code, out, error } = await verify(args)
    assert.deepEqual([code, out], [2, ''], args.join(' '))
    assert.match(error, words)
  }
  for (const [args, words] of [
    [file, /--public-key/],
    [['--whole'], /--file/],
    [['--files', 'x'], /not understood/],
  ] as const) {
    const { code, error } = await verify(args)
    assert.deepEqual([code, words.test(error)], [64, true], args.join(' '))
  }
  assert.equal(await verifyAudit(['forge'], { stdin: Readable.from([]), out: assert.fail, error: () => {}, settings: assert.fail }), 64)
  assert.deepEqual(await verify(['--help']), { code: 0, out: USAGE, error: '' })
})

test('a file that is none, was cut off, or is of another log does not hold', async () => {
  const whole = exportText(linesOf(log))
  const other = createSigningKey('earthflow/other')
  const args = (vkey = key.vkey) => ['--file', '-', '--public-key', vkey, '--checkpoints', path('answer.json')]
  for (const [stdin, words, vkey] of [
    ['\u0000\u0001', /line 1 cannot be read: it is no JSON/],
    [whole.slice(0, -30), /last line is missing/],
    [whole.replace('"kind":"batch"', '"kind":"bath"'), /its kind is not known/],
    [whole.replace(/\n(?=.*"kind":"end")/, '\n{"kind":"log","origin":"x","tree_size":1}\n'), /stands where it should not/],
    [whole, /the log is earthflow\/test, and the public key is of earthflow\/other/, other.vkey],
  ] as const) {
    const { code, out } = await verify(args(vkey), { stdin })
    assert.equal(code, 1)
    assert.match(out, words)
  }
})

/** Settings of an installation whose database holds the log, signed with its own key. */
async function install(open: 'embedded' | string): Promise<{ environment: Record<string, string>; tamper(): Promise<void> }> {
  const dataDir = path(open === 'embedded' ? 'embedded' : 'server')
  const EARTHFLOW_MASTER_KEY = generateMasterKey()
  const options = open === 'embedded' ? ({ kind: 'embedded', dir: join(dataDir, 'database') } as const) : ({ kind: 'postgres', url: open } as const)
  const database = await connect(options)
  const keyring = createKeyring(database.db, parseMasterKeys(EARTHFLOW_MASTER_KEY))
  const own = buildRandomLog({
    random: createRandom(4),
    rows: 60,
    origin,
    key: createSigningKey(origin, await keyring.checkpointKey()),
    sealKey: await keyring.sealKey(),
  })
  await insertLog(database.db, own.log)
  await database.close()
  const environment: Record<string, string> = { EARTHFLOW_MASTER_KEY, EARTHFLOW_DATA_DIR: dataDir, ...(open === 'embedded' ? {} : { DATABASE_URL: open }) }
  return {
    environment,
    async tamper() {
      const again = await connect(options)
      await again.db.execute(sql`update audit_entries set model = 'another one' where audit_id = ${own.log.rows[7]!.audit_id}`)
      await again.close()
    },
  }
}

test('the embedded database of an installation is verified with its own key', async () => {
  mkdirSync(path('embedded'))
  await createEmbeddedDatabase(path('embedded/database'))
  const { environment } = await install('embedded')
  const { code, out, error } = await verify([], { environment })
  assert.deepEqual([code, error], [0, ''], out)
  const nowhere = await verify([], { environment: { ...environment, EARTHFLOW_DATA_DIR: path('nothing') } })
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.error, /There is no database in/)
})

test('the database server of an installation is verified with its own key', { skip: withoutServer }, async () => {
  const { url, drop } = await createServerDatabase()
  try {
    const { environment, tamper } = await install(url)
    const right = await verify([], { environment })
    assert.deepEqual([right.code, right.error], [0, ''], right.out)
    assert.match(right.out, /All of it holds\./)
    const { EARTHFLOW_MASTER_KEY: _, ...withoutKey } = environment
    const keyless = await verify([], { environment: withoutKey })
    assert.equal(keyless.code, 2)
    assert.match(keyless.error, /EARTHFLOW_MASTER_KEY is missing/)
    const another = await verify([], { environment: { ...environment, EARTHFLOW_MASTER_KEY: generateMasterKey() } })
    assert.equal(another.code, 2)
    assert.match(another.error, /does not open this database/)
    const foreign = await verify(['--public-key', key.vkey], { environment: withoutKey })
    assert.equal(foreign.code, 1)
    assert.match(foreign.out, /it is not signed with the public key/)
    await tamper()
    assert.equal((await verify([], { environment })).code, 1)
  } finally {
    await drop()
  }
})
