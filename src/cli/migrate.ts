/** `earthflow migrate`: brings the database to the shape of this version, and does nothing else. */
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { flag, json, readArguments, refuseWords, runVerb } from './run-verb.ts'

export const MIGRATE_USAGE = `earthflow migrate [--check] [--json]

  Applies what the database lacks of this version's migrations, in one transaction; again it finds nothing to do. Earthflow does the same when it starts:
  this is for a job that runs before.

  --check   only says how many are missing: ends with 1 where some are
  --json    prints that as JSON
`

/** The database of this installation. */
export interface Migrations {
  pending(): Promise<number>
  apply(): Promise<void>
  close(): Promise<void>
}

export interface MigrateParts {
  /** `mayBeMade`: an embedded one that is not there. Throws Told. */
  open(how: { mayBeMade: boolean }): Promise<Migrations>
  /** For what the database throws. */
  sentenceFor(error: unknown): string | null
}

const options = { check: flag, json: flag } as const

/** Returns the exit code. */
export function migrate(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, { open, sentenceFor }: MigrateParts): Promise<number> {
  return runVerb({ usage: MIGRATE_USAGE, terminal, sentence: sentenceFor }, async () => {
    const { values, words } = readArguments(args, options)
    refuseWords(words)
    const isCheck = values.check === true
    const migrations = await open({ mayBeMade: !isCheck })
    try {
      const pending = await migrations.pending()
      if (!isCheck) await migrations.apply()
      const told = pending === 0 ? 'the database is of this version' : `${pending} migrations ${isCheck ? 'are missing' : 'were applied'}`
      terminal.out(values.json ? json({ pending: isCheck ? pending : 0, applied: isCheck ? 0 : pending }) : `${told}\n`)
      return isCheck && pending > 0 ? EXIT.failed : EXIT.done
    } finally {
      await migrations.close()
    }
  })
}
