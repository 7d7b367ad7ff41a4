/** Writes an archive of this installation. Whatever was acknowledged before it began is in it; what is acknowledged meanwhile may be. */
import { join } from 'node:path'
import { Told } from '../cli/told.ts'
import type { Environment, StoreConfig } from '../config.ts'
import type { Database, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { lockDirectory } from '../db/lock.ts'
import { version } from '../version.ts'
import { type ArchiveWriter, createArchive } from './archive.ts'
import { packFolder, sizeOfFolder } from './folder-tar.ts'
import type { Manifest } from './manifest.ts'
import { embeddedIn, openStore } from './open-store.ts'
import { findProgram, outputOf } from './postgres-programs.ts'
import { type Facts, readCheckpointNotes, readFacts, readPolicy, readTenants } from './read-content.ts'

export type BackupConfig = StoreConfig & { spoolDir: string; environment: Environment }

export interface BackupOptions {
  /** A file that is not there yet. */
  path: string
  config: BackupConfig
  /** `total`: null where it is not known. */
  progress(what: string, bytes: number, total: number | null): void
  /** Ends the work; nothing is left then. */
  signal: AbortSignal
  /** Milliseconds since 1970. */
  now: () => number
}

/** The files of an archive. Beside them each tenant's rules: `rules/<tenant>.json`. */
export const members = {
  /** What `pg_dump --format=custom` makes. */
  dump: 'database.dump',
  /** The folder of an embedded database. */
  folder: 'database.tar.gz',
  spool: 'spool.tar.gz',
  tenants: 'tenants.json',
  checkpoints: 'checkpoints.json',
} as const

/** What belongs to Earthflow in a PostgreSQL database. */
export const SCHEMAS = ['public', 'drizzle'] as const

/** Only segments: locks and what is put aside are nothing to be recovered. */
const isSegment = (path: string): boolean => /^[^/]+\/\d{12}\.spool$/.test(path)

/** Throws Told where it cannot be. */
export async function backUp({ path, config, progress, signal, now }: BackupOptions): Promise<{ bytes: number; manifest: Manifest }> {
  const createdAt = new Date(now()).toISOString()
  const database = await openStore(config)
  let isOpen = true
  const close = async (): Promise<void> => {
    if (isOpen) await database.close()
    isOpen = false
  }
  let archive: ArchiveWriter | undefined
  try {
    archive = await createArchive(path)
    // The spool first: what leaves it meanwhile is in the database by then.
    await archive.add(members.spool, packFolder(config.spoolDir, { takes: isSegment }))
    const facts = await inOneMoment(database, async (tx) => {
      const read = await readFacts(tx)
      await addContent(archive!, tx)
      if (config.database.kind === 'postgres') await addDump(archive!, tx, config.database, read)
      return read
    })
    await close()
    if (config.database.kind === 'embedded') await addFolder(archive, embeddedIn(config.dataDir))
    signal.throwIfAborted()
    return await archive.publish({
      version,
      created_at: createdAt,
      engine: database.engine,
      server_version: facts.serverVersion,
      migration: facts.migration,
      origin: facts.origin,
      master_keys: facts.masterKeys,
      counts: facts.counts,
    })
  } finally {
    await archive?.discard()
    await close()
  }

  async function addDump(archive: ArchiveWriter, tx: Tx, { url, tls }: { url: string; tls: boolean }, { serverVersionNumber }: Facts): Promise<void> {
    const server = { url, tls, version: serverVersionNumber, environment: config.environment }
    const [snapshot] = await tx.execute<{ id: string }>(sql`select pg_export_snapshot() as id`)
    const args = ['--format=custom', '--no-owner', '--no-privileges', `--snapshot=${snapshot?.id}`, ...SCHEMAS.map((name) => `--schema=${name}`)]
    const dump = outputOf(await findProgram('pg_dump', server), args, server, signal)
    await archive.add(
      members.dump,
      counting(dump, (bytes) => progress('database', bytes, null)),
    )
  }

  async function addFolder(archive: ArchiveWriter, dir: string): Promise<void> {
    // Nobody may open it before all of it is read.
    const lock = lockDirectory(dir)
    try {
      const total = await sizeOfFolder(dir)
      let read = 0
      const onBytes = (bytes: number): void => {
        signal.throwIfAborted()
        read += bytes
        progress('database', read, total)
      }
      await archive.add(members.folder, packFolder(dir, { onBytes }))
    } finally {
      lock.release()
    }
  }
}

async function addContent(archive: ArchiveWriter, tx: Tx): Promise<void> {
  const tenants = await readTenants(tx)
  await archive.add(members.tenants, `${JSON.stringify({ tenants }, null, 2)}\n`)
  for (const { id } of tenants) {
    const policy = await readPolicy(tx, String(id))
    await archive.add(join('rules', `${id}.json`), `${JSON.stringify(policy, null, 2)}\n`)
  }
  await archive.add(members.checkpoints, `${JSON.stringify({ checkpoints: await readCheckpointNotes(tx) }, null, 2)}\n`)
}

/** Of a database that an Earthflow made. Throws Told for another. */
function inOneMoment<Result>(database: Database, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  return database.apart((db) =>
    db.transaction(
      async (tx) => {
        const [found] = await tx.execute<{ there: boolean }>(
          sql`select to_regclass('public.audit_log') is not null and to_regclass('drizzle.__drizzle_migrations') is not null as there`,
        )
        if (!found?.there) throw new Told('There is nothing to back up: no Earthflow has started on this database yet.')
        return work(tx)
      },
      { isolationLevel: 'repeatable read', accessMode: 'read only' },
    ),
  )
}

async function* counting(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    onBytes(bytes)
    yield chunk
  }
}
