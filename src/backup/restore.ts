/** `earthflow restore`: makes this installation be what a backup holds, and verifies its audit log. */
import type { Terminal } from '../cli/apply.ts'
import { EXIT } from '../cli/exits.ts'
import { createProgress } from '../cli/progress.ts'
import { flag, json, readArguments, refuseWords, runVerb } from '../cli/run-verb.ts'
import { BadUsage } from '../cli/told.ts'
import { tell } from '../verify/tell.ts'
import { Unusable } from '../verify/unusable.ts'
import { type BackupParts, sentenceForInterrupt } from './backup.ts'
import { sentenceForDatabase } from './open-store.ts'
import { putBack, type Restored } from './put-back.ts'

export const RESTORE_USAGE = `earthflow restore FILE [--force] [--dry-run] [--json]

  Restores what \`earthflow backup\` wrote into the database and the spool of the settings, brings it to this version, and verifies its audit log. Earthflow must be stopped.
  Refused, with nothing changed: a file that is not what its manifest says, another master key than the backup's, and a newer version than this.

  FILE        the backup
  --force     where there is a database already: moves it aside, and deletes nothing of it
  --dry-run   looks at everything that can be known beforehand, and changes nothing
  --json      prints what was restored, and the report of the audit log, as JSON

Ends with 0 where it was restored and its audit log holds, else with 1.
`

const options = { force: flag, 'dry-run': flag, json: flag } as const

/** Returns the exit code. */
export function restore(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, { screen, config, signal, now }: BackupParts): Promise<number> {
  const sentence = (error: unknown): string | null => (error instanceof Unusable ? error.message : (sentenceForInterrupt(error) ?? sentenceForDatabase(error)))
  return runVerb({ usage: RESTORE_USAGE, terminal, sentence }, async () => {
    const { values, words } = readArguments(args, options)
    const [path, ...more] = words
    refuseWords(more)
    if (path === undefined) throw new BadUsage('Say which backup.')
    const progress = createProgress(screen)
    const isDryRun = values['dry-run'] === true
    try {
      const restored = await putBack({ path, config: config(), isForced: values.force === true, isDryRun, progress: progress.show, signal, now })
      progress.clear()
      terminal.out(values.json ? json({ path, dry_run: isDryRun, ...restored }) : toldOf(path, restored))
      return restored.report === null || restored.report.holds ? EXIT.done : EXIT.failed
    } finally {
      progress.clear()
    }
  })
}

function toldOf(path: string, { manifest, keptAt, spools, report }: Restored): string {
  const { created_at, version, engine, server_version, counts } = manifest
  const lines = [
    `${path}: of ${created_at}, by version ${version}, ${engine} ${server_version}: ${counts.tenants} tenants, ${counts.rules} rules, ${counts.audit_entries} entries of the audit log`,
    ...(report === null ? ['It can be restored here. Nothing was changed: this was a dry run.'] : ['It was restored.']),
    ...(keptAt === null ? [] : [`What was there before is kept as ${keptAt}: delete it when it is not needed.`]),
    ...(spools === 0 ? [] : [`${spools} spools of processes were put back: Earthflow takes over what is in them when it starts.`]),
    ...(report === null
      ? []
      : [
          `Keys, people and rules are as they were at ${created_at}: what was revoked or changed since must be revoked or changed again.`,
          '',
          tell(report).trimEnd(),
        ]),
  ]
  return `${lines.join('\n')}\n`
}
