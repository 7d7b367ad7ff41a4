/** A file that appears whole or not at all, for its owner alone. */
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { newId } from '../ids.ts'
import { Told } from './told.ts'

export interface NewFile {
  write(bytes: Uint8Array | string): Promise<void>
  /** Over what was written before. */
  overwrite(bytes: Uint8Array, position: number): Promise<void>
  /** Makes it durable and gives it its name. Throws Told where another has it by now. */
  publish(): Promise<void>
  /** Leaves nothing behind. After `publish` it does nothing. */
  discard(): Promise<void>
}

const OWNER_ONLY = 0o600

export interface NewFileOptions {
  mayReplace?: boolean
  mode?: number
  /** Whose it is; of this process unless said. */
  owner?: { uid: number; gid: number }
}

/** Beside `path` until it is published. Throws Told where there is one already that may not be replaced. */
export async function createNewFile(path: string, { mayReplace = false, mode = OWNER_ONLY, owner }: NewFileOptions = {}): Promise<NewFile> {
  if (!mayReplace && (await isThere(path))) throw isTaken(path)
  const unfinished = `${path}.${newId('unfinished')}`
  const file = await open(unfinished, 'wx', mode)
  if (owner && (owner.uid !== process.getuid?.() || owner.gid !== process.getgid?.()))
    await file.chown(owner.uid, owner.gid).catch(async (error: unknown) => {
      await file.close()
      await rm(unfinished, { force: true })
      throw error
    })
  let isOpen = true
  let end = 0
  return {
    async write(bytes) {
      const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
      await writeAll(file, buffer, end)
      end += buffer.length
    },
    overwrite: (bytes, position) => writeAll(file, bytes, position),
    async publish() {
      await syncAndClose(file)
      isOpen = false
      try {
        if (mayReplace) await rename(unfinished, path)
        else await link(unfinished, path).catch((error: NodeJS.ErrnoException) => Promise.reject(error.code === 'EEXIST' ? isTaken(path) : error))
      } finally {
        await rm(unfinished, { force: true })
      }
      await syncFolder(dirname(path))
    },
    async discard() {
      if (!isOpen) return
      isOpen = false
      await file.close().catch(() => {})
      await rm(unfinished, { force: true })
    },
  }
}

const isTaken = (path: string): Told => new Told(`${path} is there already, and is not replaced: name another.`)

async function isThere(path: string): Promise<boolean> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? null : Promise.reject(error)))
  await file?.close()
  return file !== null
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
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
export const syncFolder = async (path: string): Promise<void> => syncAndClose(await open(path, 'r'))
