/** Installations to be backed up and restored, on either engine. */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BackupParts, backup } from '../../src/backup/backup.ts'
import { restore } from '../../src/backup/restore.ts'
import { readBackupConfig } from '../../src/config.ts'
import { createBareServerDatabase, type Engine, withoutServer } from '../db/engines.ts'
import { MASTER_KEY } from '../harness/earthflow.ts'

/** Why dumps of a PostgreSQL server are not tried, or false. */
export const withoutDumps: string | false = withoutServer || (spawnSync('pg_dump', ['--version']).status === 0 ? false : 'pg_dump is not on this machine')

export interface Ended {
  code: number
  out: string
  error: string
}

/** The settings of an installation. */
export type Place = Readonly<Record<string, string>>

type Verb = (args: readonly string[], place: Place, more?: Partial<BackupParts>) => Promise<Ended>

const verb =
  (run: typeof backup): Verb =>
  async (args, place, more = {}) => {
    const ended: Ended = { code: 0, out: '', error: '' }
    const terminal = { out: (text: string) => void (ended.out += text), error: (text: string) => void (ended.error += text) }
    ended.code = await run(args, terminal, {
      screen: { write: () => {}, isTerminal: false },
      config: () => readBackupConfig(place, null),
      signal: new AbortController().signal,
      now: Date.now,
      ...more,
    })
    return ended
  }

export const runBackup = verb(backup)
export const runRestore = verb(restore)

/** Of a flow (see harness/earthflow.ts). */
export const placeOf = (flow: { databaseUrl: string; dataDir: string }, masterKey = MASTER_KEY): Place => ({
  PATH: process.env.PATH ?? '',
  EARTHFLOW_MASTER_KEY: masterKey,
  EARTHFLOW_DATA_DIR: flow.dataDir,
  ...(flow.databaseUrl === '' ? {} : { DATABASE_URL: flow.databaseUrl }),
})

/** Where there is nothing yet. */
export async function emptyPlace(engine: Engine): Promise<{ place: Place; dataDir: string; databaseUrl: string; remove(): Promise<void> }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-restored-'))
  const database = engine === 'postgres' ? await createBareServerDatabase() : { url: '', drop: async () => {} }
  return {
    place: placeOf({ databaseUrl: database.url, dataDir }),
    dataDir,
    databaseUrl: database.url,
    async remove() {
      await database.drop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Changes one byte of a file. */
export function flipByte(path: string, at: number, from: Buffer): void {
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.of(from[at] ^ 0x01), 0, 1, at)
  closeSync(file)
}
