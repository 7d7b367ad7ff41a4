/** Where a backup is put back to. Nothing that is there is deleted: it is moved aside, and moved back where what comes next fails. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../cli/new-file.ts'
import { Told } from '../cli/told.ts'
import type { Database } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { lockDirectory } from '../db/lock.ts'
import { MIGRATION_LOCK } from '../db/migrate.ts'
import { otherProcesses } from '../db/processes.ts'
import type { Archive } from './archive.ts'
import { type BackupConfig, members, SCHEMAS } from './back-up.ts'
import { unpackFolder } from './folder-tar.ts'
import { embeddedIn, openStore } from './open-store.ts'
import { feed, findProgram } from './postgres-programs.ts'

/** pg_advisory_lock. */
const RESTORE_LOCK = 0x6561_7274_000a

export interface Target {
  engine: 'postgres' | 'pglite'
  /** Throws Told where another restore is under way: each would undo what the other did. */
  alone<Result>(work: () => Promise<Result>): Promise<Result>
  /** Throws Told while somebody uses it. */
  isEmpty(): Promise<boolean>
  /** Throws Told where it could not be done; then all is as it was. */
  put(archive: Archive, onBytes: (bytes: number) => void): Promise<Placed>
}

export interface Placed {
  /** Where what was there before is kept, for people; null: there was nothing. */
  keptAt: string | null
  /** Makes all be as it was. */
  undo(): Promise<void>
}

/** `stamp`: letters and digits, of which names for what is moved aside are made. */
export const targetOf = (config: BackupConfig, stamp: string, signal: AbortSignal): Target =>
  config.database.kind === 'postgres' ? onServer(config, config.database, stamp, signal) : embedded(config, stamp)

function embedded({ dataDir }: BackupConfig, stamp: string): Target {
  const dir = embeddedIn(dataDir)
  const aside = `${dir}.replaced-${stamp}`
  return {
    engine: 'pglite',
    async alone(work) {
      await mkdir(dirname(dir), { recursive: true, mode: 0o700 })
      const release = held(`${dir}.restoring`)
      try {
        return await work()
      } finally {
        release()
      }
    },
    async isEmpty() {
      if (!existsSync(dir)) return true
      held(dir)()
      return false
    },
    async put(archive, onBytes) {
      const fresh = `${dir}.restoring-${stamp}`
      const release = held(dir)
      try {
        await unpackFolder(counting(archive.read(members.folder), onBytes), fresh)
        const isThere = existsSync(dir)
        if (isThere) await rename(dir, aside)
        await rename(fresh, dir)
        await syncFolder(dirname(dir))
        return {
          keptAt: isThere ? aside : null,
          async undo() {
            // Not under an Earthflow that has started on it.
            const release = held(dir)
            try {
              await rm(dir, { recursive: true, force: true })
              if (isThere) await rename(aside, dir)
            } finally {
              release()
            }
          },
        }
      } finally {
        await rm(fresh, { recursive: true, force: true })
        release()
      }
    },
  }
}

function held(dir: string): () => void {
  try {
    const lock = lockDirectory(dir)
    return () => lock.release()
  } catch (error) {
    throw new Told(`${error instanceof Error ? error.message : ''} Stop Earthflow first.`)
  }
}

function onServer(config: BackupConfig, { url, tls }: { url: string; tls: boolean }, stamp: string, signal: AbortSignal): Target {
  const asides = SCHEMAS.map((name) => [name, `earthflow_replaced_${stamp}_${name}`] as const)
  const apart = (statements: (names: readonly (readonly [string, string])[]) => string[]) =>
    opened((database) =>
      database.apart((db) =>
        db.transaction(async (tx) => {
          for (const statement of statements(asides)) await tx.execute(sql.raw(statement))
        }),
      ),
    )
  async function opened<Result>(work: (database: Database) => Promise<Result>): Promise<Result> {
    const database = await openStore(config)
    try {
      return await work(database)
    } finally {
      await database.close()
    }
  }

  /** For as long as the session lives, however this process ends. */
  const locked = <Result>(lock: number, work: () => Promise<Result>): Promise<Result> =>
    opened((database) =>
      database.apart(async (db) => {
        const [taken] = await db.execute<{ here: boolean }>(sql`select pg_try_advisory_lock(${lock}::bigint) as here`)
        if (!taken?.here) throw new Told('Another restore is under way on this database, or an Earthflow starts on it: wait for its end.')
        return work()
      }),
    )

  async function isEmpty(): Promise<boolean> {
    return opened(async ({ sql: ask, ...database }) => {
      const [found] = await ask<{ tables: number; ours: boolean }[]>`select
        (select count(*)::int from information_schema.tables where table_schema in ${ask([...SCHEMAS])}) as tables, to_regclass('public.processes') is not null as ours`
      if (found?.ours && (await otherProcesses(database, '')) > 0)
        throw new Told('An Earthflow is alive on this database, or was so a minute ago: stop every process, and try again in a minute.')
      return found?.tables === 0
    })
  }

  return {
    engine: 'postgres',
    alone: (work) => locked(RESTORE_LOCK, work),
    isEmpty,
    // No Earthflow that starts meanwhile shall take what is not there yet for an empty database.
    put: (archive, onBytes) => locked(MIGRATION_LOCK, () => put(archive, onBytes)),
  }

  async function put(archive: Archive, onBytes: (bytes: number) => void): Promise<Placed> {
    const isThere = !(await isEmpty())
    const version = await opened(async ({ sql: ask }) => {
      const [row] = await ask<{ number: number }[]>`select current_setting('server_version_num')::int as number`
      return row?.number ?? 0
    })
    const server = { url, tls, version, environment: config.environment }
    const program = await findProgram('pg_restore', server)
    const undo = (): Promise<void> =>
      apart((names) =>
        names.flatMap(([name, aside]) => [
          `drop schema if exists ${name} cascade`,
          isThere ? `alter schema ${aside} rename to ${name}` : name === 'public' ? 'create schema public' : 'select 1',
        ]),
      )
    await apart((names) => [
      ...names.flatMap(([name, aside]) => [
        `create schema if not exists ${name}`,
        isThere ? `alter schema ${name} rename to ${aside}` : `drop schema ${name}`,
        `create schema ${name}`,
      ]),
    ])
    try {
      const args = ['--format=custom', '--exit-on-error', '--single-transaction', '--no-owner', '--no-privileges', ...SCHEMAS.map((name) => `--schema=${name}`)]
      await feed(program, args, server, counting(archive.read(members.dump), onBytes), signal)
    } catch (error) {
      await undo()
      throw error
    }
    return { keptAt: isThere ? `the schemas ${asides.map(([, aside]) => aside).join(' and ')}` : null, undo }
  }
}

async function* counting(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onBytes(chunk.length)
    yield chunk
  }
}
