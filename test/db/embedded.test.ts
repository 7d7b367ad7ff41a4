import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { after, before, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import postgres from 'postgres'
import { connect, type Database } from '../../src/db/connect.ts'
import { openEmbedded } from '../../src/db/embedded.ts'
import { tenants } from '../../src/db/schema.ts'
import { isUnavailable } from '../../src/db/unavailable.ts'
import { openTestDatabase, type TestDatabase } from './engines.ts'

let database: TestDatabase
before(async () => {
  database = await openTestDatabase('pglite')
})
after(() => database.drop())

test('a second opening of the same directory is refused', async () => {
  await assert.rejects(connect(database.options), new RegExp(`in use by process ${process.pid}`))
})

test('the event loop goes on while the database works', async () => {
  let turns = 0
  let working = true
  const turn = () => {
    turns++
    if (working) setImmediate(turn)
  }
  setImmediate(turn)
  await database.sql`select count(*) from generate_series(1, 2000000)`
  working = false
  assert.ok(turns > 100, `${turns} turns`)
})

test('an answer of several megabytes arrives whole', async () => {
  const [row] = await database.sql`select repeat('ü', 4000000) as text`
  assert.equal(row!.text, 'ü'.repeat(4_000_000))
})

test('a connection that ends in a transaction leaves the session free, and the transaction rolled back', async () => {
  await database.close()
  const embedded = await openEmbedded(database.dir!)
  const sockets: Duplex[] = []
  const client = () => postgres({ max: 1, ssl: false, socket: () => sockets[sockets.push(embedded.socket()) - 1] } as object)
  const [first, second] = [client(), client()]
  const { promise: inside, resolve } = Promise.withResolvers<void>()
  const abandoned = first.begin(async (tx) => {
    await tx`insert into tenants (id, name) values ('t_abandoned', 'x')`
    resolve()
    await new Promise(() => {})
  })
  await inside
  const rows = second`select id from tenants where id = 't_abandoned'`.execute()
  sockets[0]!.destroy()
  await assert.rejects(abandoned)
  assert.deepEqual([...(await rows)], [])
  await second.end()
  await embedded.close()
})

test('rows that were acknowledged survive kill -9 of the process, which can be followed at once', async () => {
  const { dir } = database
  const program = `
    import { connect } from '${new URL('../../src/db/connect.ts', import.meta.url)}'
    const { sql } = await connect({ kind: 'embedded', dir: ${JSON.stringify(dir)} })
    for (let i = 0; ; i++) { await sql\`insert into tenants (id, name) values (\${'t_' + i}, 'x')\`; console.log(i) }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  let acknowledged = -1
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    acknowledged = Number(line)
    if (acknowledged === 300) child.kill('SIGKILL')
  })
  await Promise.all([once(child, 'exit'), once(lines, 'close')])
  const reopened: Database = await connect(database.options)
  const [row] = await reopened.sql`select count(*)::int as rows, count(distinct id)::int as ids from tenants`
  await reopened.sql`insert into tenants (id, name) values ('t_after', 'x')`
  await reopened.close()
  assert.ok(acknowledged >= 300 && row!.rows >= acknowledged + 1 && row!.ids === row!.rows, `${row!.rows} rows of ${acknowledged + 1}`)
})

test('when the worker dies, statements and transactions under way fail, and later ones too, but the process goes on', async () => {
  const { promise: created, resolve } = Promise.withResolvers<Worker>()
  process.once('worker', resolve)
  const reopened = await connect(database.options)
  const { sql } = reopened
  await sql`select 1`
  // One connection, so the second and third wait behind the first.
  const working = [sql`select count(*) from generate_series(1, 100000000)`.execute(), sql`select 1`.execute(), sql.begin((tx) => tx`select 1`)]
  const failed = Promise.all(working.map((work) => assert.rejects(Promise.resolve(work), isUnavailable)))
  await (await created).terminate()
  await failed
  await assert.rejects(sql`select 1`, isUnavailable)
  await assert.rejects(Promise.resolve(reopened.db.select().from(tenants)), isUnavailable)
  await reopened.close()
  assert.ok(!existsSync(`${database.dir}.lock`))
})
