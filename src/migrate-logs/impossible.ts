/** What keeps a log from being converted at all, as a sentence for whoever asked for it. */
import { databaseErrorCode, isUnavailable } from '../db/unavailable.ts'
import { describeError } from '../telemetry/log.ts'

export class Impossible extends Error {}

const ofFiles: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EROFS: 'the disk is read-only',
  EIO: 'the disk fails',
  EFBIG: 'it would be too large',
}

const SQLSTATE = /^[0-9A-Z]{5}$/

/** Never quotes what a parser or the database was given. */
export function sentenceFor(error: unknown): string {
  if (error instanceof Impossible) return error.message
  if (!(error instanceof Error)) return 'Something unexpected happened.'
  if (error.name === 'AbortError') return 'It was interrupted.'
  const { code, path } = error as NodeJS.ErrnoException
  if (code !== undefined && code in ofFiles) return `${path ?? 'A file'} cannot be read or written: ${ofFiles[code]}.`
  if (isUnavailable(error)) return 'The database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  const databaseCode = databaseErrorCode(error) ?? ''
  if (SQLSTATE.test(databaseCode)) return `The database refuses (${databaseCode}); check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.`
  return `Something unexpected happened: ${JSON.stringify(describeError(error))}`
}
