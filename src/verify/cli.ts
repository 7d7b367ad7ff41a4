/** `earthflow audit verify`: whether the audit log is what was logged. */
import { open, readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import type { StoreConfig } from '../config.ts'
import { databaseErrorCode, isUnavailable } from '../db/unavailable.ts'
import { describeError } from '../telemetry/log.ts'
import { openLog } from './open-log.ts'
import { readCheckpoints } from './read-checkpoints.ts'
import { readDatabase } from './read-database.ts'
import { recordsInThreads } from './read-in-threads.ts'
import { linesOf, piecesOf, recordIn, recordsOf } from './read-records.ts'
import { BadKey, type NoteKey, parseNoteKey } from './signed-note.ts'
import { type Report, tell } from './tell.ts'
import { Unusable } from './unusable.ts'
import { verifyExport } from './verify-export.ts'
import { type OutsideNote, verifyLog } from './verify-log.ts'

export const USAGE = `earthflow audit verify [--file FILE] [--checkpoints PATH] [--public-key KEY] [--whole] [--json]

  Without --file the log in the database of this installation is verified.

  --file FILE          an export instead, from GET /v1/audit/export; - reads standard input. Needs --public-key, and neither settings nor a database
  --checkpoints PATH   checkpoints that were kept elsewhere: a directory as AUDIT_CHECKPOINT_SINK fills it, a note, or an answer of
                       GET /v1/audit/checkpoints. An export that is not complete needs them
  --public-key KEY     of the log, such as earthflow/…+0a1b2c3d+AR…, or a file with it; several lines for several keys
  --whole              the export claims to hold all entries of its tenant, of every kind: one that is missing in between is a problem
  --json               prints the report as JSON
  --help               prints this
`

export const exits = { holds: 0, problems: 1, unusable: 2, usage: 64 } as const

export interface Surroundings {
  stdin: Readable
  out(text: string): void
  error(text: string): void
  /** Asked only where a database is. */
  settings(): StoreConfig
}

class BadUsage extends Unusable {}

interface Options {
  file: string | null
  checkpoints: string | null
  publicKey: string | null
  isWhole: boolean
  isJson: boolean
}

const CHUNK_BYTES = 256 << 10
const KEY_FILE_BYTES_MAX = 64 << 10

/** `args`: what follows `audit`. Returns the exit code. */
export async function verifyAudit(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { out, error: complain } = surroundings
  try {
    const options = readOptions(args)
    if (options === null) {
      out(USAGE)
      return exits.holds
    }
    const report = await verify(options, surroundings)
    out(options.isJson ? `${JSON.stringify(report, null, 2)}\n` : tell(report))
    return report.holds ? exits.holds : exits.problems
  } catch (error) {
    complain(`${sentenceFor(error)}\n`)
    return error instanceof BadUsage ? exits.usage : exits.unusable
  }
}

function readOptions([verb, ...args]: readonly string[]): Options | null {
  if (verb === '--help' || verb === undefined) return null
  if (verb !== 'verify') throw new BadUsage(`Unknown verb.\n\n${USAGE}`)
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const values = parse()
  if (values.help) return null
  const { file = null, checkpoints = null, 'public-key': publicKey = null, whole: isWhole = false, json: isJson = false } = values
  if (file !== null && publicKey === null) throw new BadUsage('A file says nothing of who may sign: say with --public-key whose log it is.')
  if (file === null && isWhole) throw new BadUsage('--whole is for exports: say --file.')
  return { file, checkpoints, publicKey, isWhole, isJson }

  function parse() {
    try {
      const options = { file: text, checkpoints: text, 'public-key': text, whole: flag, json: flag, help: flag }
      return parseArgs({ args: [...args], options }).values
    } catch {
      throw new BadUsage(`The arguments are not understood.\n\n${USAGE}`)
    }
  }
}

async function verify(options: Options, { stdin, settings }: Surroundings): Promise<Report> {
  const given = options.publicKey === null ? null : await readKeys(options.publicKey)
  const outside = options.checkpoints === null ? [] : await readCheckpoints(options.checkpoints)
  if (options.file === null) {
    const { database, keys, sealKey } = await openLog(settings(), given)
    try {
      return await readDatabase(database, sealKey, (records) => verifyLog(records, { keys, outside }))
    } finally {
      await database.close()
    }
  }
  if (options.file === '-') return verifyFile(stdin, options, given ?? [], outside)
  const file = await open(options.file)
  try {
    return await verifyFile(file.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false }), options, given ?? [], outside)
  } finally {
    await file.close()
  }
}

/** The first line says which of the two exports it is. */
async function verifyFile(source: Readable, { isWhole }: Options, keys: readonly NoteKey[], outside: readonly OutsideNote[]): Promise<Report> {
  const pieces = piecesOf(source)
  const { value: first, done } = await pieces.next()
  if (done) throw new Unusable('There is nothing in the file.')
  const all = (async function* () {
    yield first
    yield* pieces
  })()
  const [line = ''] = first ? linesOf(first) : []
  const [record] = recordIn(line, 1)
  if (record?.kind === 'log') return verifyLog(recordsInThreads(all), { keys, outside })
  if (outside.length === 0) throw new Unusable('The export is not complete, so that its entries are proved by checkpoints alone: say --checkpoints.')
  return verifyExport(recordsOf(all), { keys, outside, isWhole })
}

async function readKeys(given: string): Promise<NoteKey[]> {
  try {
    return [parseNoteKey(given)]
  } catch (error) {
    if (!(error instanceof BadKey)) throw error
    const text = await readFile(given, 'utf8').catch(() => {
      throw new Unusable(`--public-key is neither a key nor a file that can be read. ${error.message}`)
    })
    const lines = text.slice(0, KEY_FILE_BYTES_MAX).split('\n')
    return lines.filter((line, i) => i === 0 || line.trim() !== '').map(parseNoteKey)
  }
}

const ofFiles: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EIO: 'the disk fails',
}

/** Never quotes what a parser or the database was given. */
function sentenceFor(error: unknown): string {
  if (error instanceof Unusable || error instanceof BadKey) return error.message
  const { code, path } = error as NodeJS.ErrnoException
  if (code !== undefined && code in ofFiles) return `${path ?? 'A file'} cannot be read: ${ofFiles[code]}.`
  if (isUnavailable(error)) return 'The database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  const databaseCode = databaseErrorCode(error)
  if (databaseCode) return `The database refuses (${databaseCode}); check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.`
  return `Something unexpected happened: ${JSON.stringify(describeError(error))}`
}
