/** Where downloaded servers are kept between runs. */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Root's servers run as another account, which cannot read below a home folder that only root may enter (nor a clone that lies there), so root keeps
 * them in /var/cache. Everybody else has the usual cache folder.
 */
export function cacheFolder(): string {
  if (process.getuid?.() === 0) return '/var/cache/earthflow-test-services'
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'earthflow-test-services')
}

/**
 * The path of a cache entry, filled by `fill(folder)` when it is not there yet. An entry appears complete or not at all: it is made under another name
 * and renamed, so runs at the same time do no harm. Throws when the cache belongs to somebody else, because programs are run from it.
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const cache = cacheFolder()
  mkdirSync(cache, { recursive: true, mode: 0o755 })
  const { uid, mode } = statSync(cache)
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) throw new Error(`${cache} must belong to this account and be writable by no other`)
  const entry = join(cache, name)
  if (isFolder(entry)) return entry
  mkdirSync(dirname(entry), { recursive: true, mode: 0o755 })
  const unfinished = mkdtempSync(`${entry}.new-`)
  try {
    await fill(unfinished)
    chmodSync(unfinished, 0o755) // The account that runs the servers must be able to enter.
    renameSync(unfinished, entry)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!isFolder(entry)) throw error // Otherwise another run was first.
  }
  return entry
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
