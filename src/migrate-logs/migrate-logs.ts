/** `scripts/migrate-logs`: a version 1 audit log becomes entries of version 2, in a file, in the database, or both. */
import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Readable } from 'node:stream'
import type { AuditEntry } from '../audit/entry.ts'
import { createHashOf, type HashOf } from '../audit/prompt-hash.ts'
import type { Seal } from '../audit/seal.ts'
import { createProgress, type Screen } from '../cli/progress.ts'
import type { StoreConfig } from '../config.ts'
import type { Db } from '../db/connect.ts'
import { ensurePartitions } from '../db/partitions.ts'
import { type ConvertOptions, type Counts, convertLog } from './convert-log.ts'
import { backUp, createFile, type NewFile, whatIsAt } from './files.ts'
import { createImport, createTenantFinder } from './import-rows.ts'
import { Impossible, sentenceFor } from './impossible.ts'
import { createLineIds } from './line-ids.ts'
import { type Input, openInput } from './open-input.ts'
import type { Store } from './open-store.ts'
import { BadUsage, type Options, readOptions, USAGE } from './options.ts'
import { type Converted, createLineReader } from './read-line.ts'

/** The exit codes. `scripts/README.md` is compared with this table by a test. */
export const exits = {
  done: { code: 0, about: 'every line became a row, or was blank' },
  failed: { code: 1, about: 'it was not done and there is no output; rows that were imported before it failed stay, and another run does not add them again' },
  rejected: { code: 2, about: 'done, but some lines were rejected' },
  usage: { code: 64, about: 'the arguments make no sense' },
  settings: { code: 78, about: 'a setting cannot be used' },
} as const

export interface Surroundings {
  stdin: Readable
  out(text: string): void
  /** Standard error. */
  screen: Screen
  now: () => number
  /** Ends the work; nothing is written then. */
  signal: AbortSignal
  /** Asked after the arguments were read. */
  settings(): StoreConfig
  openStore(settings: StoreConfig): Promise<Store>
}

/** So many rejected lines are named where --verbose does not ask for all. */
const REJECTED_NAMED_MAX = 20

/** Returns the exit code. */
export async function migrateLogs(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { screen, out } = surroundings
  try {
    const options = readOptions(args)
    if (options === null) {
      out(USAGE)
      return exits.done.code
    }
    const { rejected } = await migrate(options, surroundings, surroundings.settings())
    return rejected > 0 ? exits.rejected.code : exits.done.code
  } catch (error) {
    if (error instanceof BadUsage) {
      screen.write(`${error.message}\n\n${USAGE}`)
      return exits.usage.code
    }
    screen.write(`${sentenceFor(error)}\n`)
    return exits.failed.code
  }
}

async function migrate(options: Options, surroundings: Surroundings, settings: StoreConfig): Promise<Counts> {
  if (!options.imports && settings.hashPrompts && settings.hashMode !== 'sha256')
    throw new Impossible(`AUDIT_HASH_MODE=${settings.hashMode} hashes under keys that are in the database: say --import, or AUDIT_HASH_MODE=sha256.`)
  const input = await openInput(options.input, surroundings.stdin, surroundings.signal)
  try {
    const places = await placesOf(options)
    if (!options.imports) {
      const hashOf = createHashOf({ mode: 'sha256', keyOf: () => Promise.reject(new Error('Plain hashes have no key.')) })
      return await run({ options, surroundings, settings, input, places, hashOf, into: null })
    }
    const { database, hashOf, seal } = await surroundings.openStore(settings)
    try {
      if (!options.isDryRun) await ensurePartitions(database, new Date(surroundings.now()))
      // On a connection of its own, for a row may take as long as it is.
      return await database.apart((db) => run({ options, surroundings, settings, input, places, hashOf, into: { db, seal } }))
    } finally {
      await database.close()
    }
  } finally {
    await input.close()
  }
}

interface Run {
  options: Options
  surroundings: Surroundings
  settings: StoreConfig
  input: Input
  places: Places
  hashOf: HashOf
  /** The installation that rows are added to; null: none is. */
  into: { db: Db; seal: Seal } | null
}

async function run({ options, surroundings, settings, input, places, hashOf, into }: Run): Promise<Counts> {
  const { out, screen, now, signal } = surroundings
  const { isDryRun, isVerbose } = options
  const progress = createProgress(screen, now)
  const complete = await createCompleter({ options, hashOf: settings.hashPrompts && !isDryRun ? hashOf : null, store: into?.db ?? null })
  if (options.backsUp && !isDryRun) for (const path of places.replaced) progress.say(`${path} was copied to ${await backUp(path)}`)

  const importRows = into && createImport({ ...into, subject: options.input === '-' ? 'standard input' : basename(options.input), now })
  const createNew = (path: string): Promise<NewFile> => createFile(path, { mayReplace: places.replaced.has(path) })
  const output = isDryRun || places.output === null ? null : await createNew(places.output)
  let rejectedFile = null as NewFile | null
  let added = 0
  let named = 0
  const convert: ConvertOptions = {
    source: input.source,
    readLine: createLineReader({ idsOf: createLineIds(), now: now() }),
    complete,
    async writeRows(rows) {
      if (isDryRun) return
      signal.throwIfAborted()
      await output?.write(`${rows.join('\n')}\n`)
      if (importRows) added += await importRows(rows)
    },
    async writeRejected(bytes) {
      if (isDryRun) return
      rejectedFile ??= await createNew(places.rejected)
      await rejectedFile.write(bytes)
    },
    onRejected(number, why) {
      if (isVerbose || named < REJECTED_NAMED_MAX) progress.say(`line ${number}: ${why}`)
      else if (named === REJECTED_NAMED_MAX) progress.say('more lines are rejected; --verbose names them all')
      named++
    },
    onProgress: ({ bytes, lines, rejected }) => progress.show(`${lines} lines, ${rejected} rejected`, bytes, input.size),
  }
  try {
    const counts = await convertLog(convert)
    progress.clear()
    if (places.isInPlace) await input.checkUnchanged(counts.bytes)
    if (!isDryRun) await publish()
    out(summaryOf(counts))
    return counts
  } catch (error) {
    progress.clear()
    if (added > 0) progress.say(`${added} rows were imported before it ended; another run does not add them again.`)
    throw error
  } finally {
    await output?.discard()
    await rejectedFile?.discard()
  }

  /** What was rejected first: where there are rows, there is also what is missing among them. */
  async function publish(): Promise<void> {
    if (rejectedFile) await rejectedFile.publish()
    else if (places.replaced.has(places.rejected)) await rm(places.rejected, { force: true })
    await output?.publish()
  }

  function summaryOf({ lines, rows, rejected, blank }: Counts): string {
    const would = isDryRun ? ' would be' : ''
    return [
      `${lines} lines: ${rows} rows, ${rejected} rejected, ${blank} blank`,
      ...(places.output === null ? [] : [`rows${would} in ${places.output}`]),
      ...(rejected === 0 ? [] : [`rejected lines${would}, unchanged, in ${places.rejected}`]),
      ...(into === null
        ? []
        : [isDryRun ? `${rows} rows would be imported, as far as they are not there yet` : `${added} rows imported, ${rows - added} were there already`]),
      ...(isDryRun ? ['nothing was written: this was a dry run'] : []),
      '',
    ].join('\n')
  }
}

/** What says whose entry it is, and what its prompt hashes to (where `hashOf` is null: nothing). Throws Impossible where --tenant-map names no tenant. */
async function createCompleter({ options, hashOf, store }: { options: Options; hashOf: HashOf | null; store: Db | null }) {
  const find = store && (await createTenantFinder(store))
  for (const id of find ? options.tenants.values() : [])
    if (typeof find?.(id) === 'string') throw new Impossible(`--tenant-map names ${id}, and no one tenant of this installation has this id or name.`)

  return ({ entry, prompt }: Converted): AuditEntry | string | Promise<AuditEntry> => {
    const word = options.tenants.get(entry.tenant_id ?? '') ?? entry.tenant_id
    if (find && word === null) return 'it names no tenant; --tenant-map =ID says whose it is'
    const tenant = find && word !== null ? find(word) : null
    if (typeof tenant === 'string') return tenant
    entry.tenant_id = tenant?.id ?? word
    const hash = prompt === null || hashOf === null ? null : hashOf(entry.tenant_id ?? '', Buffer.from(prompt))
    if (hash instanceof Promise) return hash.then((prompt_hash) => Object.assign(entry, { prompt_hash }))
    return Object.assign(entry, { prompt_hash: hash })
  }
}

interface Places {
  output: string | null
  rejected: string
  /** Files that are there and are read or replaced: what --backup copies. */
  replaced: ReadonlySet<string>
  /** The output replaces the input. */
  isInPlace: boolean
}

/** Throws Impossible where a file would be replaced that is not copied first. */
async function placesOf({ input, output, backsUp }: Options): Promise<Places> {
  const source = input === '-' ? null : await whatIsAt(input)
  if (source && !source.isFile && backsUp) throw new Impossible(`${input} is no regular file, and cannot be copied: leave out --backup.`)
  const target = output === null ? null : ((await whatIsAt(output))?.path ?? output)
  const beside = `${target ?? source?.path ?? input}.rejected`
  const rejected = (await whatIsAt(beside))?.path ?? beside
  const replaced = new Set(source && backsUp ? [source.path] : [])
  for (const path of target === null ? [rejected] : [target, rejected]) {
    const there = await whatIsAt(path)
    if (!there) continue
    if (!there.isFile) throw new Impossible(`${path} is there and no regular file; name another --output.`)
    if (!backsUp) throw new Impossible(`${path} is there already; name another --output, move it away, or say --backup to have it copied and replaced.`)
    replaced.add(there.path)
  }
  return { output: target, rejected, replaced, isInPlace: target !== null && target === source?.path }
}
