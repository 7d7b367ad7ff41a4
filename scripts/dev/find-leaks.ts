/** What a run of the tests must not leave behind: the canary word in its secrets (test/harness/canary-word.ts), and whole API keys. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isWellFormed, keyPattern } from '../../src/access/key-format.ts'
import { createFinder, formsOfSecret } from '../../test/harness/find-canaries.ts'

const FOLDER_PREFIX = 'earthflow-'
/** Of all files together; what is beyond is not looked at, and named. */
const LEFT_BYTES_MAX = 2 ** 31

/** Says of bytes whether the word is in them: as it is, in hex or base64, or as those bytes that it is the base64url of, which is how a master key holds it. */
function createWordFinder(word: string): (bytes: Buffer) => boolean {
  const forms = [...formsOfSecret(word), ...formsOfSecret(Buffer.from(word, 'base64url'))]
  const find = createFinder([{ kind: 'the canary word', forms }])
  return (bytes) => find(bytes).size > 0
}

/** Says of something that was printed whether a secret is in it. */
export function createLeakFinder(word: string): (printed: string) => boolean {
  const holdsWord = createWordFinder(word)
  const keys = new RegExp(keyPattern, 'g')
  return (printed) => holdsWord(Buffer.from(printed)) || (printed.match(keys) ?? []).some(isWellFormed)
}

/** The files in Earthflow's temporary folders that hold the word, and a sentence where there was too much to read. Folders older than `since` (ms) are not ours. */
export function leaksLeft(word: string, { since, except, parent = tmpdir() }: { since: number; except?: string; parent?: string }): string[] {
  const holdsWord = createWordFinder(word)
  const leaks: string[] = []
  let bytes = 0
  for (const name of readdirSync(parent)) {
    const folder = join(parent, name)
    if (!name.startsWith(FOLDER_PREFIX) || folder === except) continue
    for (const path of filesSince(folder, since)) {
      const content = readOrNothing(path)
      bytes += content.length
      if (bytes > LEFT_BYTES_MAX) return [...leaks, `files that were not looked at: more than ${LEFT_BYTES_MAX} bytes are left in ${parent}`]
      if (holdsWord(content)) leaks.push(path)
    }
  }
  return leaks
}

/** Servers are still running, and other runs as well: what goes away meanwhile is nowhere. */
function filesSince(folder: string, since: number): string[] {
  try {
    if (statSync(folder).ctimeMs < since) return []
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
  } catch {
    return []
  }
}

function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
