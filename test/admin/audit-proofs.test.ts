import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type Checkpointer, createCheckpointer } from '../../src/audit/chain/checkpointer.ts'
import { completeLog } from '../../src/audit/chain/complete-log.ts'
import { createLogKey } from '../../src/audit/chain/note.ts'
import { type ChainWriter, createChainWriter } from '../../src/audit/chain/writer.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { recordsIn } from '../../src/verify/read-records.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { verifyExport } from '../../src/verify/verify-export.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { seal, write, writeUnchained } from '../audit/chain/chains.ts'
import { openCheckpoint } from '../audit/chain/read-note.ts'
import { entryOf } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let api: Management
  let tenant: { id: string; key: string }
  let writer: ChainWriter
  let checkpointer: Checkpointer
  const reported: unknown[] = []

  before(async () => {
    database = await open()
    api = manage(database)
    tenant = await api.createTenant()
  })
  beforeEach(async () => {
    await database.sql`truncate audit_entries, audit_writers, audit_batches, audit_tiles, audit_checkpoints, audit_superseded, processes`
    const keyring = createKeyring(database.db, [Buffer.alloc(32, 7)])
    const logKey = createLogKey({ db: database.db, checkpointKey: () => keyring.checkpointKey() })
    const { origin } = await logKey()
    writer = createChainWriter({ origin, processId: 'p_1', version: '1' })
    checkpointer = createCheckpointer({
      database,
      processId: 'p_1',
      version: '1',
      logKey,
      seal,
      sink: null,
      everyMs: 0,
      report: (error) => reported.push(error),
    })
  })
  after(() => database.drop())

  const mine = (count: number, fields: Partial<AuditEntry> = {}): AuditEntry[] =>
    Array.from({ length: count }, () => entryOf({ tenant_id: tenant.id, ...fields }))
  const linesOf = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  const get = async (path: string, key?: string) => (await api.ask('GET', path, key === undefined ? {} : { key })).json
  const bytes = async function* (text: string): AsyncGenerator<Buffer> {
    yield Buffer.from(text)
  }
  const keys = async () => [parseNoteKey((await get('/v1/audit/checkpoints')).public_key)]
  const notes = async () => (await get('/v1/audit/checkpoints?limit=1000')).checkpoints.map(({ note }: { note: string }) => ({ note, source: 'the API' }))
  const check = async (text: string) => verifyExport(recordsIn(bytes(text)), { keys: await keys(), outside: await notes(), isWhole: false })
  const checkWhole = async (text: string) => verifyLog(recordsIn(bytes(text)), { keys: await keys(), outside: await notes() })

  test('checkpoints are listed newest first, and each is signed with the key beside them', async () => {
    for (let i = 0; i < 3; i++) {
      await write(database, writer, mine(2))
      await checkpointer.run()
    }
    const { checkpoints, total, limit, offset, origin, public_key } = await get('/v1/audit/checkpoints?limit=2', tenant.key)
    assert.deepEqual([total, limit, offset], [3, 2, 0])
    assert.deepEqual(
      checkpoints.map((one: { tree_size: number }) => one.tree_size),
      [7, 5],
    )
    for (const { note, tree_size, root } of checkpoints)
      assert.deepEqual(openCheckpoint(note, public_key), { origin, size: tree_size, root: Buffer.from(root, 'base64') })
  })

  test('an entry’s proof holds for the checkpoint beside it; one that has none yet says so, and another tenant’s is not there', async () => {
    const [first, other] = [mine(1)[0]!, entryOf({ tenant_id: 't_other' })]
    await write(database, writer, [first, other])
    await checkpointer.run()
    await write(database, writer, mine(4))
    await checkpointer.run()
    const proof = await get(`/v1/audit/${first.audit_id}/proof`, tenant.key)
    assert.equal(proof.chain.tree_size, 7)
    const line = JSON.stringify({ ...(await get(`/v1/audit/${first.audit_id}`, tenant.key)), chain: proof.chain })
    const report = await verifyExport(recordsIn(bytes(line)), {
      keys: [parseNoteKey(proof.public_key)],
      outside: [{ note: proof.note, source: 'the proof' }],
      isWhole: false,
    })
    assert.deepEqual([report.holds, report.covered], [true, 1])
    const [fresh] = mine(1)
    await write(database, writer, [fresh!])
    const { chain, note } = await get(`/v1/audit/${fresh!.audit_id}/proof`, tenant.key)
    assert.deepEqual([chain.seq, chain.index, chain.tree_size, chain.path, note], [8, null, null, null, null])
    const unplaced = entryOf({ tenant_id: tenant.id })
    await writeUnchained(database, unplaced)
    assert.deepEqual((await get(`/v1/audit/${unplaced.audit_id}/proof`, tenant.key)).chain, null)
    assert.equal((await api.ask('GET', `/v1/audit/${other.audit_id}/proof`, { key: tenant.key })).status, 404)
    assert.equal((await api.ask('GET', `/v1/audit/${other.audit_id}/proof`)).status, 200)
  })

  test('every entry of an export is proved by the newest checkpoint, but for those it does not hold yet', async () => {
    for (let i = 0; i < 12; i++) {
      await write(database, writer, [...mine(50), entryOf({ tenant_id: 't_other' })])
      await checkpointer.run()
    }
    await write(database, writer, mine(2))
    const text = await get('/v1/audit/export', tenant.key)
    const report = await check(text)
    assert.deepEqual([report.holds, report.entries, report.covered, report.waiting], [true, 602, 600, 2], JSON.stringify(report.problems))
    assert.ok(linesOf(text).every(({ chain }) => chain.tree_size === null || chain.tree_size === 613))
    const last = text.lastIndexOf('"status":"ALLOW"')
    assert.equal((await check(`${text.slice(0, last)}"status":"BLOCK"${text.slice(last + 16)}`)).problems_total, 1)
    assert.ok(linesOf(await get('/v1/audit/export?proofs=false', tenant.key)).every((line) => !('chain' in line)))
    assert.doesNotMatch(await get('/v1/audit/export?format=csv', tenant.key), /writer_id|wr_/)
    assert.equal(linesOf(await get('/v1/audit/export?model=other', tenant.key).then((empty) => `${empty}{}`)).length, 1)
  })

  test('the look at the newest entries tells what holds, what is not covered yet, and every kind of forgery', async () => {
    const rows = mine(6)
    await write(database, writer, rows)
    await write(database, writer, [entryOf({ tenant_id: 't_other' })])
    await checkpointer.run()
    await write(database, writer, mine(1))
    await writeUnchained(database, entryOf({ tenant_id: tenant.id }))
    const look = async (query = '') => get(`/v1/audit/verify${query}`, tenant.key)
    const { public_key, ...clean } = await look()
    assert.deepEqual(clean, { verified: true, entries: 8, covered: 6, not_yet_covered: 2, tree_size: 8, problems: [] })
    assert.deepEqual((await get('/v1/audit/verify')).entries, 10)
    assert.deepEqual(((n) => [n.entries, n.covered])(await look('?limit=3')), [3, 1])
    assert.equal((await api.ask('GET', '/v1/audit/verify?limit=10001')).status, 400)

    await database.sql`update audit_entries set status = 'BLOCK' where audit_id = ${rows[0]!.audit_id}`
    await database.sql`update audit_entries set metadata = '{"a":2}' where audit_id = ${rows[1]!.audit_id}`
    await database.sql`update audit_entries set salt = null, user_id = null, metadata = null where audit_id = ${rows[2]!.audit_id}`
    await database.sql`update audit_entries set seq = 99 where audit_id = ${rows[3]!.audit_id}`
    const [forged] = mine(1)
    await writeUnchained(database, forged!, null)
    const { verified, problems } = await look()
    assert.equal(verified, false)
    assert.deepEqual(
      new Map(problems.map((one: { audit_id: string; problem: string }) => [one.audit_id, one.problem])),
      new Map([
        [rows[0]!.audit_id, 'It is not what was logged.'],
        [rows[1]!.audit_id, 'user_id and metadata are not what was logged.'],
        [rows[2]!.audit_id, 'user_id and metadata are gone, and no erasure is named.'],
        [rows[3]!.audit_id, 'No batch of the log has a leaf in its place.'],
        [forged!.audit_id, 'It has no place in the log, and nothing says that it may get one.'],
      ]),
    )
  })

  test('a tree or a checkpoint that was changed proves nothing', async () => {
    await write(database, writer, mine(6))
    await checkpointer.run()
    await database.sql`update audit_tiles set hashes = set_byte(hashes, 40, (get_byte(hashes, 40) + 1) % 256)`
    const broken = await get('/v1/audit/verify', tenant.key)
    assert.deepEqual([broken.verified, broken.problems.length > 0], [false, true])
    await database.sql`delete from audit_tiles`
    assert.equal((await get('/v1/audit/verify', tenant.key)).problems.length, 6)
    await database.sql`update audit_checkpoints set root = set_byte(root, 0, (get_byte(root, 0) + 1) % 256)`
    assert.deepEqual((await get('/v1/audit/verify')).problems[0], { audit_id: null, problem: 'The checkpoint of size 7 is not signed by this log.' })
  })

  test('the complete log is all that its verifier needs, what has no place yet and no checkpoint yet included', async () => {
    await write(database, writer, mine(700))
    await checkpointer.run()
    await writeUnchained(database, entryOf({ tenant_id: null, kind: 'change', reason: 'tenant.create', metadata: { actor: 'admin', subject: 't' } }))
    await checkpointer.run()
    await write(database, writer, mine(3))
    await writeUnchained(database, entryOf())
    const text = await get('/v1/audit/export?complete=true')
    const lines = linesOf(text)
    assert.deepEqual(lines[0].kind, 'log')
    assert.deepEqual(lines.at(-1), { kind: 'end', entries: 700 + 1 + 2 + 3 + 1 })
    assert.ok(lines.every((line) => !('path' in (line.chain ?? {}))))
    const report = await checkWhole(text)
    assert.deepEqual([report.holds, report.tree_size, report.leaves, report.waiting], [true, 703, 706, 1], JSON.stringify(report.problems))
    const forged = await checkWhole(text.replace('"status":"ALLOW"', '"status":"BLOCK"'))
    assert.equal(forged.holds, false)
  })

  test('the complete log is for the administrator, whole, and nothing else', async () => {
    assert.equal((await api.ask('GET', '/v1/audit/export?complete=true', { key: tenant.key })).status, 403)
    for (const query of ['format=csv', `tenant_id=${tenant.id}`, 'model=x', 'kind=change', 'from=2026-01-01'])
      assert.equal((await api.ask('GET', `/v1/audit/export?complete=true&${query}`)).status, 400, query)
  })

  test('what is written while the complete log is read does not spoil it', async () => {
    await write(database, writer, mine(1_200))
    await checkpointer.run()
    const waiting = entryOf({ tenant_id: tenant.id })
    await writeUnchained(database, waiting)
    let text = ''
    for await (const piece of completeLog(database, (await get('/v1/audit/checkpoints')).origin)) {
      text += piece
      await write(database, writer, mine(1))
      await checkpointer.run()
    }
    const alone = await verifyLog(recordsIn(bytes(text)), { keys: await keys() })
    assert.deepEqual([alone.holds, alone.leaves, alone.tree_size], [true, 1_201, 1_201], JSON.stringify(alone.problems))
  })

  test('rows that are erased while the complete log is read are in it as they were, or it ends without its last line', async () => {
    await write(database, writer, mine(1_200))
    await checkpointer.run()
    let text = ''
    const read = async (): Promise<void> => {
      for await (const piece of completeLog(database, (await get('/v1/audit/checkpoints')).origin)) {
        if (text === '') {
          const erasure = entryOf({ tenant_id: tenant.id, kind: 'change', reason: 'audit.erase', metadata: { leaves: { [writer.id]: '2' } } })
          await writeUnchained(database, erasure)
          await database.sql`update audit_entries set salt = null, user_id = null, metadata = null, erased_by = ${erasure.audit_id} where seq = 2`
        }
        text += piece
      }
    }
    if (engine === 'postgres') {
      await read()
      const report = await verifyLog(recordsIn(bytes(text)), { keys: await keys() })
      assert.deepEqual([report.holds, report.erased], [true, 0], JSON.stringify(report.problems))
    } else {
      await assert.rejects(read(), /changed while it was written out/)
      assert.doesNotMatch(text, /"kind":"end"/)
    }
  })

  test('a reader of the complete log who leaves, or is too slow, keeps no transaction open', async () => {
    await write(database, writer, mine(1_200))
    for await (const piece of completeLog(database, 'x')) if (piece.includes('batch')) break
    const open = await database.sql`select 1 from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`
    assert.deepEqual([...open], [])
    assert.deepEqual(reported, [])
  })
})
