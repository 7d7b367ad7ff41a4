/** Files that appear whole or not at all, and copies that never replace an older one. */
import { constants } from 'node:fs'
import { copyFile, type FileHandle, link, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { newId } from '../ids.ts'
import { Impossible } from './impossible.ts'

/** The rows name people, and what was rejected holds prompts. */
const OWNER_ONLY = 0o600
const BACKUPS_MAX = 10_000

export interface NewFile {
  write(bytes: Uint8Array | string): Promise<void>
  /** Makes it durable and gives it its name. Throws Impossible where another has it by now that may not be replaced. */
  publish(): Promise<void>
  /** Leaves nothing behind. After `publish` it does nothing. */
  discard(): Promise<void>
}

/** A file beside `path` until it is published; `mayReplace` the one that is there, or nothing. */
export async function createFile(path: string, { mayReplace }: { mayReplace: boolean }): Promise<NewFile> {
  const unfinished = `${path}.${newId('unfinished')}`
  const file = await open(unfinished, 'wx', OWNER_ONLY)
  let isOpen = true
  return {
    async write(bytes) {
      await file.writeFile(bytes)
    },
    async publish() {
      await syncAndClose(file)
      if (mayReplace) await rename(unfinished, path)
      else if (await linked(unfinished, path)) await rm(unfinished)
      else throw new Impossible(`${path} was made by somebody else meanwhile; name another --output.`)
      isOpen = false
      await syncFolder(path)
    },
    async discard() {
      if (!isOpen) return
      isOpen = false
      await file.close().catch(() => {})
      await rm(unfinished, { force: true })
    },
  }
}

/** Copies a file to `<path>.backup-1`, or the next number that is free. Returns the name of the copy. */
export async function backUp(path: string): Promise<string> {
  const unfinished = `${path}.${newId('unfinished')}`
  try {
    await copyFile(path, unfinished, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    const file = await open(unfinished, 'r')
    await file.chmod(OWNER_ONLY)
    await syncAndClose(file)
    for (let number = 1; number <= BACKUPS_MAX; number++) {
      const copy = `${path}.backup-${number}`
      if (!(await linked(unfinished, copy))) continue
      await syncFolder(path)
      return copy
    }
  } finally {
    await rm(unfinished, { force: true })
  }
  throw new Error(`There are ${BACKUPS_MAX} backups of ${path} already; move them away.`)
}

/** Where a name leads, through symbolic links, and what is there; null where there is nothing yet. */
export async function whatIsAt(path: string): Promise<{ path: string; isFile: boolean } | null> {
  try {
    return { path: await realpath(path), isFile: (await stat(path)).isFile() }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function syncAndClose(file: FileHandle): Promise<void> {
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A name is durable when its folder is. */
async function syncFolder(path: string): Promise<void> {
  await syncAndClose(await open(dirname(path), 'r'))
}
