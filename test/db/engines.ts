/** Databases for tests, on both engines: each migrated, empty and the caller's own. */
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { connect, type Database, type DatabaseOptions } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { newId } from '../../src/ids.ts'

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

/** A database on the server of TEST_DATABASE_URL, without tables. */
export async function createServerDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  if (!serverUrl) throw new Error('TEST_DATABASE_URL must name a PostgreSQL server on which databases may be created')
  const name = newId('earthflow_test')
  await asAdmin(`create database "${name}" template template0`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => asAdmin(`drop database if exists "${name}" with (force)`) }
}

async function asAdmin(statement: string): Promise<void> {
  const admin = postgres(serverUrl!, { max: 1, onnotice: () => {} })
  try {
    await admin.unsafe(statement)
  } finally {
    await admin.end()
  }
}

async function openOnServer(): Promise<TestDatabase> {
  const { url, drop } = await createServerDatabase()
  const options: DatabaseOptions = { kind: 'postgres', url }
  const database = await connect(options)
  await migrate(database)
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
  const template = await embeddedTemplate()
  const root = await mkdtemp(join(tmpdir(), 'earthflow-test-'))
  const dir = join(root, 'db')
  await cp(template, dir, { recursive: true })
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

/** A migrated data directory that is copied for each test (0.1 s) instead of made anew (3 s). Kept until the migrations or PGlite change. */
async function embeddedTemplate(): Promise<string> {
  const hash = createHash('sha256').update(await readFile(projectFile('node_modules/@electric-sql/pglite/package.json')))
  for (const file of (await readdir(projectFile('drizzle'))).filter((name) => name.endsWith('.sql')).sort()) {
    hash.update(file).update(await readFile(projectFile(`drizzle/${file}`)))
  }
  const cache = projectFile('node_modules/.cache/earthflow-test')
  const template = join(cache, hash.digest('hex').slice(0, 16))
  if (await exists(template)) return template

  await mkdir(cache, { recursive: true })
  const making = await mkdtemp(join(cache, 'making-'))
  const database = await connect({ kind: 'embedded', dir: join(making, 'db') })
  await migrate(database)
  await database.close()
  // Another test file may have been faster; its template is as good.
  await rename(join(making, 'db'), template).catch(async (error) => {
    if (!(await exists(template))) throw error
  })
  await rm(making, { recursive: true, force: true })
  return template
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
