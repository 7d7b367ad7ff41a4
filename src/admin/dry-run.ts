/** Writes that may be asked only to say what would come of them. */
import type { Tx } from '../db/connect.ts'
import { type AdminParts, type Author, change, type Done } from './parts.ts'
import { rehearse } from './rules/rule-writes.ts'
import { flag } from './shapes.ts'

export const dryRunQuery = { dry_run: flag.optional() }

/** As `change`; with `dry_run` nothing is kept, recorded or announced. Throws the same either way. */
export const changeOrTry = <Result>(
  parts: Pick<AdminParts, 'db' | 'now' | 'changed' | 'seal' | 'report'>,
  { dry_run, ...author }: Author & { dry_run: boolean | undefined },
  work: (tx: Tx) => Promise<{ result: Result; done: Done }>,
): Promise<Result> => (dry_run === true ? rehearse(parts.db, async (tx) => (await work(tx)).result) : change(parts, author, work))
