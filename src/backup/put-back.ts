/** Puts an archive back, or leaves everything as it was. Refused beforehand is whatever can be known beforehand. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { bySystem, recordChange } from '../audit/record-change.ts'
import { createSeal } from '../audit/seal.ts'
import { Told } from '../cli/told.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { masterKeyId } from '../crypto/master-key.ts'
import type { Database } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { migrate, migrationTimes } from '../db/migrate.ts'
import { ensurePartitions } from '../db/partitions.ts'
import { openLog } from '../verify/open-log.ts'
import { readDatabase } from '../verify/read-database.ts'
import { Unusable } from '../verify/unusable.ts'
import { type LogReport, type OutsideNote, verifyLog } from '../verify/verify-log.ts'
import { version } from '../version.ts'
import { type Archive, openArchive } from './archive.ts'
import { type BackupConfig, members } from './back-up.ts'
import { unpackFolder } from './folder-tar.ts'
import type { Manifest } from './manifest.ts'
import { openStore, sentenceForDatabase } from './open-store.ts'
import { countRows } from './read-content.ts'
import { targetOf } from './target.ts'

export interface RestoreOptions {
  path: string
  config: BackupConfig
  /** What is there may be moved aside. */
  isForced: boolean
  isDryRun: boolean
  progress(what: string, bytes: number, total: number): void
  signal: AbortSignal
  /** Milliseconds since 1970. */
  now: () => number
}

export interface Restored {
  manifest: Manifest
  keptAt: string | null
  /** Spools of processes that were put back; Earthflow takes over what is in them when it starts. */
  spools: number
  /** Null where it was only looked at. */
  report: LogReport | null
}

/** Throws Told where it cannot be; then nothing was changed. */
export async function putBack({ path, config, isForced, isDryRun, progress, signal, now }: RestoreOptions): Promise<Restored> {
  const archive = await openArchive(path)
  try {
    const { manifest } = archive
    const total = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
    const told = (what: string): ((bytes: number) => void) => {
      let done = 0
      return (bytes) => {
        signal.throwIfAborted()
        progress(what, (done += bytes), total)
      }
    }
    await archive.check(told('comparing hashes'))
    await refuseUnfit(manifest, config)
    const outside = await checkpointsOf(archive)
    const stamp = new Date(now()).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '').toLowerCase()
    const target = targetOf(config, stamp, signal)
    if (manifest.engine !== target.engine) throw new Told(otherEngine(manifest.engine))
    const refuseTaken = async (): Promise<void> => {
      if (!(await target.isEmpty()) && !isForced)
        throw new Told('There is a database already. With --force it is moved aside, and nothing of it is deleted; see to it that nobody uses it.')
    }
    await refuseTaken()
    if (isDryRun) return { manifest, keptAt: null, spools: 0, report: null }

    return await target.alone(async () => {
      await refuseTaken()
      const { keptAt, undo } = await target.put(archive, told('database'))
      try {
        await begin(manifest, config, new Date(now()))
        const spools = await putSpools(archive, config.spoolDir, stamp)
        return { manifest, keptAt, spools, report: await verify(outside, config) }
      } catch (error) {
        if (!(error instanceof Unverified)) await undo()
        throw error
      }
    })
  } finally {
    await archive.close()
  }
}

async function refuseUnfit({ version: made, migration, master_keys }: Manifest, { masterKeys }: BackupConfig): Promise<void> {
  const known = (await migrationTimes()).at(-1) ?? 0
  if (migration > known || isNewer(made, version))
    throw new Told(`The backup was made by version ${made}, and this is ${version}: restore it with that version, or a later one.`)
  const given = masterKeys.map(masterKeyId)
  if (given.length === 0) throw new Told(`EARTHFLOW_MASTER_KEY is missing: set the one whose fingerprint is ${master_keys.join(' or ')}.`)
  if (master_keys.length > 0 && !master_keys.some((id) => given.includes(id)))
    throw new Told(
      `EARTHFLOW_MASTER_KEY does not open this backup: it needs the key whose fingerprint is ${master_keys.join(' or ')}, and the setting holds ${given.join(', ')}.`,
    )
}

function isNewer(made: string, ours: string): boolean {
  const [a, b] = [made, ours].map((text) => text.split(/[.+-]/, 3).map(Number))
  const at = [0, 1, 2].find((i) => a[i] !== b[i])
  return at !== undefined && a[at] > b[at]
}

const otherEngine = (engine: Manifest['engine']): string =>
  engine === 'postgres'
    ? 'The backup is of a PostgreSQL database: set DATABASE_URL or POSTGRES_HOST to the one it shall be restored to.'
    : 'The backup is of an embedded database: leave DATABASE_URL and POSTGRES_HOST out, and set EARTHFLOW_DATA_DIR to the folder it shall be restored to.'

/** What was put there is compared, brought to this version, and told of in the log. Throws where it is not what it should be. */
async function begin({ counts, created_at, version: made, engine }: Manifest, config: BackupConfig, at: Date): Promise<void> {
  const database = await openStore(config).catch((error: unknown) => {
    throw error instanceof Told ? new Told(`What was restored cannot be opened; all is as it was. ${error.message}`) : error
  })
  try {
    await compare(database, counts)
    await migrate(database)
    await ensurePartitions(database, at)
    const keyring = createKeyring(database.db, config.masterKeys)
    await keyring.verify().catch((error: Error) => Promise.reject(error.message.startsWith('EARTHFLOW_MASTER_KEY') ? new Told(error.message) : error))
    const seal = createSeal(await keyring.sealKey())
    await database.db.transaction(async (tx) => {
      // None of them lives: what they left open is closed at the next start.
      await tx.execute(sql`update processes set heartbeat_at = to_timestamp(0)`)
      await recordChange(tx, bySystem({ action: 'backup.restore', tenantId: null, subject: created_at, details: { version: made, engine, counts } }, at), seal)
    })
    await database.sync?.()
  } finally {
    await database.close()
  }
}

async function compare(database: Database, counts: Manifest['counts']): Promise<void> {
  const found = await database.db.transaction((tx) => countRows(tx))
  const other = Object.entries(counts).find(([table, rows]) => table in found && found[table] !== rows)
  if (other)
    throw new Told(`What was restored is not what was backed up: ${other[0]} has ${found[other[0]]} rows, and should have ${other[1]}. All is as it was.`)
}

/** Beside those that are there: what lies on this machine's disk is newer than what is in the backup. */
async function putSpools(archive: Archive, spoolDir: string, stamp: string): Promise<number> {
  await mkdir(dirname(spoolDir), { recursive: true, mode: 0o700 })
  const fresh = `${spoolDir}.restoring-${stamp}`
  const put: string[] = []
  try {
    await unpackFolder(archive.read(members.spool), fresh)
    await mkdir(spoolDir, { recursive: true, mode: 0o700 })
    for (const name of await readdir(fresh)) {
      const folder = join(spoolDir, name)
      if (existsSync(folder)) continue
      if ((await readdir(join(fresh, name))).length === 0) continue
      await rename(join(fresh, name), folder)
      put.push(folder)
    }
  } catch (error) {
    for (const folder of put) await rm(folder, { recursive: true, force: true })
    throw error
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  return put.length
}

/** It was restored; only whether its log holds could not be told. */
class Unverified extends Told {}

/** Against the checkpoints of the backup too: so the log can be told to be as long as it was. Throws Unverified where it cannot be read. */
async function verify(outside: OutsideNote[], config: BackupConfig): Promise<LogReport> {
  try {
    const { database, keys, sealKey } = await openLog(config, null)
    try {
      return await readDatabase(database, sealKey, (records) => verifyLog(records, { keys, outside }))
    } finally {
      await database.close()
    }
  } catch (error) {
    const why = error instanceof Told || error instanceof Unusable ? error.message : (sentenceForDatabase(error) ?? '')
    throw new Unverified(`It was restored, but its audit log could not be verified. ${why} Verify it: earthflow audit verify.`)
  }
}

const noted = z.object({ checkpoints: z.array(z.object({ note: z.string() })) })

/** Throws Told where they cannot be read. */
async function checkpointsOf(archive: Archive): Promise<OutsideNote[]> {
  const chunks: Buffer[] = []
  for await (const chunk of archive.read(members.checkpoints)) chunks.push(chunk)
  try {
    const { checkpoints } = noted.parse(JSON.parse(Buffer.concat(chunks).toString()))
    return checkpoints.map(({ note }, i) => ({ note, source: `checkpoint ${i + 1} of the backup` }))
  } catch {
    throw new Told(`The archive is damaged: ${members.checkpoints} holds no checkpoints.`)
  }
}
