/** Databases for tests, on both engines: each migrated, empty and the caller's own. */
import { createHash } from 'node:crypto'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { connect, type Database, type DatabaseOptions } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { newId } from '../../src/ids.ts'
import { asAdmin } from './server-admin.ts'

export type Engine = Database['engine']
export type TestDatabase = Database & {
  /** How another client, or process, opens the same database. */
  options: DatabaseOptions
  /** Of the PostgreSQL database. */
  url?: string
  /** Of the embedded database. */
  dir?: string
  /** Closes it and removes every trace. */
  drop(): Promise<void>
}

/** pg_advisory_lock, on the server's own database: no test migrates that one. */
const TEMPLATE_LOCK = 0x6561_7274_7e57
/** The first server_version_num that can be told how to copy a database. */
const STRATEGIES_SINCE = 150_000

const serverUrl = process.env.TEST_DATABASE_URL
/** `npm test` sets this, and then every engine must be there. */
const required = process.env.EARTHFLOW_TEST_RUN !== undefined

/** Why tests on a PostgreSQL server are skipped, or false. Under `npm test` they never are. */
export const withoutServer: string | false = serverUrl || required ? false : 'TEST_DATABASE_URL is not set'

/** Runs the same tests on each engine. */
export function forEachEngine(define: (engine: Engine, open: () => Promise<TestDatabase>) => void): void {
  describe('on pglite', () => define('pglite', () => openTestDatabase('pglite')))
  if (withoutServer) test('on postgres', { skip: withoutServer }, () => {})
  else describe('on postgres', () => define('postgres', () => openTestDatabase('postgres')))
}

/** A migrated, empty database. Drop it when done. */
export async function openTestDatabase(engine: Engine): Promise<TestDatabase> {
  return engine === 'pglite' ? openEmbedded() : openOnServer()
}

/** A database on the server of TEST_DATABASE_URL, migrated and without rows. */
export async function createServerDatabase(): Promise<ServerDatabase> {
  return createDatabase(await serverTemplate())
}

/** The same without a single table, for who wants to see it migrated. */
export async function createBareServerDatabase(): Promise<ServerDatabase> {
  return createDatabase('template0')
}

export interface ServerDatabase {
  url: string
  drop(): Promise<void>
}

async function createDatabase(template: string): Promise<ServerDatabase> {
  const name = newId('earthflow_test')
  await asAdmin(serverUrl, async (admin) => admin.unsafe(`create database "${name}" template "${template}" ${await copying(admin)}`))
  return { url: urlOf(name), drop: async () => void (await asAdmin(serverUrl, (admin) => admin.unsafe(`drop database if exists "${name}" with (force)`))) }
}

let strategy: Promise<string> | undefined

/** Files are copied where that needs no disk, and the server can be told to: else it writes every page to its log, which takes three times the work. */
function copying(admin: postgres.Sql): Promise<string> {
  strategy ??= admin<[{ version: number; memory: string | null }]>`
    select current_setting('server_version_num')::int as version, current_setting('earthflow_test.in_memory', true) as memory`.then(([{ version, memory }]) =>
    version >= STRATEGIES_SINCE && memory === 'on' ? 'strategy file_copy' : '',
  )
  return strategy
}

function urlOf(name: string): string {
  const url = new URL(serverUrl!)
  url.pathname = `/${name}`
  return url.href
}

let templateName: Promise<string> | undefined

/** A migrated database on the server, copied for each test instead of migrated anew (0.3 s). A server we were given keeps it until the migrations change. */
function serverTemplate(): Promise<string> {
  templateName ??= makeServerTemplate()
  return templateName
}

async function makeServerTemplate(): Promise<string> {
  const name = `earthflow_template_${await migrationsHash()}`
  const isThere = (): Promise<boolean> => asAdmin(serverUrl, async (admin) => (await admin`select 1 from pg_database where datname = ${name}`).length > 0)
  if (await isThere()) return name
  await inTurn(async () => {
    if (await isThere()) return
    const making = await createBareServerDatabase()
    const database = await connect({ kind: 'postgres', url: making.url })
    await migrate(database)
    await database.close()
    await asAdmin(serverUrl, (admin) => admin.unsafe(`alter database "${new URL(making.url).pathname.slice(1)}" rename to "${name}"`))
  })
  return name
}

/** One test file makes a template, and the others wait, where there is a server to see to it. */
async function inTurn(make: () => Promise<void>): Promise<void> {
  if (!serverUrl) return make()
  // A connection of its own, whose end is the lock's.
  const locking = postgres(serverUrl, { max: 1, onnotice: () => {} })
  try {
    await locking`select pg_advisory_lock(${TEMPLATE_LOCK}::bigint)`
    await make()
  } finally {
    await locking.end()
  }
}

/** Files of an embedded database in a folder that is not there yet, migrated and without rows. */
export async function createEmbeddedDatabase(dir: string): Promise<void> {
  compiledEngine ??= readFile(projectFile('node_modules/@electric-sql/pglite/dist/pglite.wasm')).then((bytes) => WebAssembly.compile(bytes))
  await Promise.all([compiledEngine, embeddedTemplate().then((template) => cp(template, dir, { recursive: true }))])
}

/** Held, because V8 gives who compiles the same bytes again what it has as long as somebody has it: each worker would begin at nothing otherwise. */
let compiledEngine: Promise<object> | undefined

declare const WebAssembly: { compile(bytes: Uint8Array): Promise<object> }

async function openOnServer(): Promise<TestDatabase> {
  const { url, drop } = await createServerDatabase()
  const options: DatabaseOptions = { kind: 'postgres', url }
  const database = await connect(options)
  return {
    ...database,
    options,
    url,
    async drop() {
      await database.close()
      await drop()
    },
  }
}

async function openEmbedded(): Promise<TestDatabase> {
  const root = await mkdtemp(join(tmpdir(), 'earthflow-test-'))
  const dir = join(root, 'db')
  await createEmbeddedDatabase(dir)
  const options: DatabaseOptions = { kind: 'embedded', dir }
  const database = await connect(options)
  return {
    ...database,
    options,
    dir,
    async drop() {
      await database.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

const projectFile = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** PGlite clears its buffers when it starts: those 128 MB it has by itself take it a second. */
const EMBEDDED_SETTINGS = '\nshared_buffers = 4MB\n'

/** Two thirds of the files that would be copied for each test. */
const UNUSED_DATABASES = ['template0', 'template1']

/** A migrated data directory that is copied for each test (0.05 s) instead of made anew (3 s). Kept until the migrations, PGlite or this file change. */
async function embeddedTemplate(): Promise<string> {
  const cache = projectFile('node_modules/.cache/earthflow-test')
  const template = join(cache, await migrationsHash('node_modules/@electric-sql/pglite/package.json', 'test/db/engines.ts'))
  if (await exists(template)) return template
  await inTurn(async () => {
    if (await exists(template)) return
    await mkdir(cache, { recursive: true })
    const making = await mkdtemp(join(cache, 'making-'))
    const database = await connect({ kind: 'embedded', dir: join(making, 'db') })
    await migrate(database)
    await database.sql`update pg_database set datistemplate = false`
    for (const name of UNUSED_DATABASES) await database.sql.unsafe(`drop database ${name}`)
    await database.close()
    await appendFile(join(making, 'db', 'postgresql.conf'), EMBEDDED_SETTINGS)
    // Another run may have been faster; its template is as good.
    await rename(join(making, 'db'), template).catch(async (error) => {
      if (!(await exists(template))) throw error
    })
    await rm(making, { recursive: true, force: true })
  })
  return template
}

/** Of the migrations, and of what else decides. */
async function migrationsHash(...others: string[]): Promise<string> {
  const hash = createHash('sha256')
  const migrations = (await readdir(projectFile('drizzle'), { recursive: true })).filter((name) => /\.(sql|json)$/.test(name)).sort()
  for (const path of [...others, ...migrations.map((name) => `drizzle/${name}`)]) hash.update(path).update(await readFile(projectFile(path)))
  return hash.digest('hex').slice(0, 16)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
