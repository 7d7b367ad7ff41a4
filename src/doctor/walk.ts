/** Makes the checks of the production checklist, one after the other. */
import type { Database } from '../db/connect.ts'
import { databaseErrorCode, within } from '../db/unavailable.ts'
import { type Check, type Context, type Finding, warn } from './check.ts'
import { checks } from './checks.ts'

export interface Told extends Finding {
  check: string
}

/** What needs no database, and what asks it. */
export const withoutDatabase = checks.filter((check) => 'run' in check)
export const askingDatabase = checks.filter((check) => 'ask' in check)

/** All checks together take at most this long: the database and names may be slow to answer. */
const WALK_MS_MAX = 10_000

export const walkWithout = (context: Context): Promise<Told[]> => walk(withoutDatabase, context, (check) => check.run(context))

export const walkDatabase = (database: Database, context: Context): Promise<Told[]> => walk(askingDatabase, context, (check) => check.ask(database, context))

async function walk<C extends Check>(those: readonly C[], { now }: Pick<Context, 'now'>, make: (check: C) => Finding[] | Promise<Finding[]>): Promise<Told[]> {
  const end = now() + WALK_MS_MAX
  const told: Told[] = []
  for (const check of those) {
    const found = await tried(() => within(Math.max(end - now(), 0), Promise.resolve(make(check))))
    told.push(...found.map((finding) => ({ ...finding, check: check.name })))
  }
  return told
}

/** A check that cannot be made is a finding, and no reason to leave out the others. A driver's message may hold what it was given. */
async function tried(make: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await make()
  } catch (error) {
    return [warn(`This could not be checked (${databaseErrorCode(error) ?? 'unexpected'}): see that this user, and the role in the database, may look.`)]
  }
}
