/** `earthflow backup`: one file with everything an installation is, but its master key. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Terminal } from '../cli/apply.ts'
import { EXIT } from '../cli/exits.ts'
import { createProgress, type Screen } from '../cli/progress.ts'
import { flag, json, readArguments, refuseWords, runVerb, text, wholeNumber } from '../cli/run-verb.ts'
import { BadUsage, Told } from '../cli/told.ts'
import { type BackupConfig, backUp } from './back-up.ts'
import { sentenceForDatabase } from './open-store.ts'

export const BACKUP_USAGE = `earthflow backup --output PATH [--keep N] [--json]

  Writes one file, readable by you alone, that appears whole or not at all: the database (pg_dump, or the embedded database's folder), tenants and rules as
  JSON, the spool of this machine and the checkpoints of the audit log, with a manifest of hashes. The master key is not in it: keep that elsewhere.
  Of PostgreSQL it is made while Earthflow runs; the embedded database can only be copied while it does not.

  --output PATH   a file that is not there yet, or a folder, in which the file is named after the time
  --keep N        in a folder: how many of such files stay, the newest ones; all unless said
  --json          prints what is in it as JSON
`

export interface BackupParts {
  screen: Screen
  config(): BackupConfig
  signal: AbortSignal
  now: () => number
}

const KEEP_MAX = 100_000
const NAME = /^earthflow-\d{8}T\d{6}Z\.tar$/
const UNFINISHED = /^earthflow-\d{8}T\d{6}Z\.tar\.unfinished_/
/** One that is being made is written to far more often. */
const UNFINISHED_MS_MAX = 24 * 3_600_000
const options = { output: text, keep: text, json: flag } as const

/** Returns the exit code. */
export function backup(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, { screen, config, signal, now }: BackupParts): Promise<number> {
  return runVerb({ usage: BACKUP_USAGE, terminal, sentence: (error) => sentenceForInterrupt(error) ?? sentenceForDatabase(error) }, async () => {
    const { values, words } = readArguments(args, options)
    refuseWords(words)
    if (!values.output) throw new BadUsage('Say with --output where the backup goes.')
    const output = resolve(values.output)
    const isFolder = await stat(output).then(
      (found) => found.isDirectory(),
      () => false,
    )
    if (!isFolder && /\/$/.test(values.output)) throw new Told(`${output} is no folder: make it first.`)
    if (values.keep !== undefined && !isFolder) throw new BadUsage('--keep is for folders: say with --output which.')
    const keep = wholeNumber('keep', values.keep, { least: 1, most: KEEP_MAX, otherwise: Number.POSITIVE_INFINITY })
    const path = isFolder ? join(output, nameAt(now())) : output
    const progress = createProgress(screen)
    try {
      const show = (what: string, bytes: number, total: number | null): void => progress.show(`${what}: ${Math.round(bytes / 2 ** 20)} MiB`, bytes, total)
      const { bytes, manifest } = await backUp({ path, config: config(), progress: show, signal, now })
      progress.clear()
      const removed = isFolder ? [...(await removeOldest(output, keep)), ...(await removeUnfinished(output, now()))] : []
      terminal.out(
        values.json
          ? json({ path, bytes, removed, ...manifest })
          : `${path}: ${bytes} bytes, ${manifest.counts.tenants} tenants, ${manifest.counts.audit_entries} entries of the audit log, under master key ${manifest.master_keys.join(' or ') || 'none yet'}\n`,
      )
      return EXIT.done
    } finally {
      progress.clear()
    }
  })
}

export const sentenceForInterrupt = (error: unknown): string | null => (error instanceof Error && error.name === 'AbortError' ? 'It was interrupted.' : null)

const nameAt = (at: number): string => `earthflow-${new Date(at).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '')}.tar`

/** Only files of this name: whatever else lies there is somebody else's. */
async function removeOldest(folder: string, keep: number): Promise<string[]> {
  const ours = (await readdir(folder)).filter((name) => NAME.test(name)).sort()
  const old = ours.slice(0, Math.max(0, ours.length - keep))
  for (const name of old) await rm(join(folder, name), { force: true })
  return old
}

/** What was left behind by those that were killed. */
async function removeUnfinished(folder: string, now: number): Promise<string[]> {
  const removed: string[] = []
  for (const name of (await readdir(folder)).filter((name) => UNFINISHED.test(name))) {
    const found = await stat(join(folder, name)).catch(() => null)
    if (found === null || now - found.mtimeMs < UNFINISHED_MS_MAX) continue
    await rm(join(folder, name), { force: true })
    removed.push(name)
  }
  return removed
}
