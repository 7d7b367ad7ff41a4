/** Puts a certificate and its key where Earthflow serves them from. A running one takes them within a few seconds. */
import { mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createNewFile } from '../cli/new-file.ts'
import { Told } from '../cli/told.ts'
import { describeCertificate } from './describe.ts'

export interface Pair {
  cert: string
  key: string
}

export interface Places {
  certPath: string
  keyPath: string
}

const KEY_MODE = 0o600
const CERTIFICATE_MODE = 0o644

/** As certbot keeps them. Throws Told where they are not there. */
export async function readLineage(folder: string): Promise<Pair> {
  try {
    const [cert, key] = await Promise.all(['fullchain.pem', 'privkey.pem'].map((name) => readFile(join(folder, name), 'utf8')))
    return { cert, key }
  } catch {
    throw new Told(`${folder} does not hold fullchain.pem and privkey.pem, or this user may not read them.`)
  }
}

/** Each file whole, and belonging to whom its folder belongs. False where all was so already. Throws Told where they cannot be served. `now`: milliseconds since 1970. */
export async function install({ cert, key }: Pair, { certPath, keyPath }: Places, now: number): Promise<boolean> {
  const unusable = describeCertificate({ cert, key, daysMin: 0, now }).problems.find((problem) => !problem.startsWith('The chain is missing'))
  if (unusable !== undefined) throw new Told(`The certificate was not installed. ${unusable}`)
  // The key first: a new certificate with the old key would be looked at for longer.
  const changed = [await put(keyPath, key, KEY_MODE), await put(certPath, cert, CERTIFICATE_MODE)]
  return changed.includes(true)
}

async function put(path: string, content: string, mode: number): Promise<boolean> {
  const there = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? null : Promise.reject(error)))
  if (there === content) return false
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const { uid, gid } = await stat(folder)
  const file = await createNewFile(path, { mayReplace: true, mode, owner: { uid, gid } })
  try {
    await file.write(content)
    await file.publish()
  } finally {
    await file.discard()
  }
  return true
}
