/** Which version is deployed, and which one was before: what a rollback goes back to. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createNewFile } from '../cli/new-file.ts'
import { Told } from '../cli/told.ts'

export interface Versions {
  current: string | null
  previous: string | null
  /** What was begun, and of which it is not known yet whether it works. */
  next: string | null
}

const FILE = '.earthflow-deploy.json'

/** Throws Told where the file is none of ours. */
export async function readVersions(dir: string): Promise<Versions> {
  const path = join(dir, FILE)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? '{}' : Promise.reject(error)))
  try {
    const { current = null, previous = null, next = null } = JSON.parse(text) as Partial<Versions>
    return { current: versionOrNull(current), previous: versionOrNull(previous), next: versionOrNull(next) }
  } catch {
    throw new Told(`${path} is not what it was: remove it, and say with --to which version.`)
  }
}

export async function writeVersions(dir: string, versions: Versions): Promise<void> {
  const file = await createNewFile(join(dir, FILE), { mayReplace: true, mode: 0o644 })
  try {
    await file.write(`${JSON.stringify(versions)}\n`)
    await file.publish()
  } finally {
    await file.discard()
  }
}

/** As a tag of an image or a folder may be called. */
export const isVersion = (word: string): boolean => /^[A-Za-z0-9_][\w.-]{0,127}$/.test(word)

function versionOrNull(word: string | null): string | null {
  if (word !== null && !isVersion(word)) throw new Error('no version')
  return word
}
