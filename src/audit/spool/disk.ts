/** The file operations of the spool, which tests replace to see what becomes of errors. */
import fs, { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface SpoolFile {
  /** Writes all of it at a position; throws where not all could be written. */
  write(bytes: Buffer, position: number): Promise<void>
  /** As many bytes as there are, at most `length`. */
  read(position: number, length: number): Promise<Buffer>
  /** Returns when what was written is on the disk. */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  makeDirectory(path: string): Promise<void>
  /** Files and folders by name; none where the folder does not exist. */
  list(path: string): Promise<{ name: string; isDirectory: boolean }[]>
  create(path: string): Promise<SpoolFile>
  open(path: string): Promise<SpoolFile>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Of an empty one; another stays. */
  removeDirectory(path: string): Promise<void>
  /** A file that is new, renamed or gone is so after a loss of power too. */
  syncDirectory(path: string): Promise<void>
  /** Bytes that may still be written on its volume. */
  freeBytes(path: string): Promise<number>
}

const PRIVATE_FOLDER = 0o700
const PRIVATE_FILE = 0o600

export const nodeDisk: Disk = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER })
  },
  async list(path) {
    const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  },
  create: (path) => opened(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR),
  open: (path) => opened(path, constants.O_RDWR),
  rename,
  remove: (path) => rm(path, { force: true }),
  async removeDirectory(path) {
    await rmdir(path).catch(() => {})
  },
  async syncDirectory(path) {
    const directory = await open(path, constants.O_RDONLY)
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}

/** By number, not by FileHandle: that ends the process where one is forgotten. */
async function opened(path: string, flags: number): Promise<SpoolFile> {
  const fd = await openFile(path, flags, PRIVATE_FILE)
  return {
    // At the end of a volume a write is short and does not fail; the one after it does.
    async write(bytes, position) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await writeFile(fd, bytes, done, bytes.length - done, position + done)
        if (bytesWritten === 0) throw Object.assign(new Error('Nothing was written.'), { code: 'EIO' })
        done += bytesWritten
      }
    },
    async read(position, length) {
      const bytes = Buffer.allocUnsafe(length)
      let done = 0
      while (done < length) {
        const { bytesRead } = await readFile(fd, bytes, done, length - done, position + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return bytes.subarray(0, done)
    },
    sync: () => syncFile(fd),
    close: () => closeFile(fd),
  }
}

const openFile = promisify(fs.open)
const writeFile = promisify(fs.write)
const readFile = promisify(fs.read)
const syncFile = promisify(fs.fdatasync)
const closeFile = promisify(fs.close)
