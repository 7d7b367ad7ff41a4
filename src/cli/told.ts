/** What went wrong, as a sentence for whoever asked for it. */
import { ApiRefused, ApiUnreachable } from './api.ts'

/** Its message is such a sentence, and says what to change. */
export class Told extends Error {}

/** The arguments make no sense; the message says what to write instead. */
export class BadUsage extends Error {}

const ofFiles: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EEXIST: 'it is there already; name another',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  ENOTEMPTY: 'there is something in it already',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EROFS: 'the disk is read-only',
  EIO: 'the disk fails',
}

/** Null where nobody here knows one: such an error is a mistake of ours. */
export function sentenceFor(error: unknown): string | null {
  if (error instanceof Told || error instanceof ApiRefused || error instanceof ApiUnreachable) return error.message
  const { code, path } = error as NodeJS.ErrnoException
  return code !== undefined && code in ofFiles ? `${path ?? 'A file'} cannot be read or written: ${ofFiles[code]}.` : null
}
