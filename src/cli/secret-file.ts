/** A file for secrets: new, and for its owner alone. */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface SecretFile {
  /** Resolves when it is on the disk, and so is the file's name. */
  append(text: string): Promise<void>
  /** Removes it again where nothing was written. */
  close(): Promise<void>
}

const sentences: Readonly<Record<string, string>> = {
  EEXIST: 'it is there already; name another',
  ENOENT: 'there is no such folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
}

/** With mode 0600. Throws a sentence where it cannot be made, and where there is one already: that may be open to others, or a link to elsewhere. */
export async function createSecretFile(path: string): Promise<SecretFile> {
  const handle = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException): Promise<FileHandle> => {
    throw new Error(`${path} cannot be made: ${sentences[error.code ?? ''] ?? error.code}.`)
  })
  let isEmpty = true
  return {
    async append(text) {
      const isNew = isEmpty
      isEmpty = false
      await handle.appendFile(text)
      await handle.sync()
      if (isNew) await syncFolder(dirname(path))
    },
    async close() {
      await handle.close()
      if (isEmpty) await rm(path, { force: true })
    },
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
