/** Runs certbot, which proves to Let's Encrypt whose a name is, and renews what it got. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Told } from '../cli/told.ts'
import type { Environment } from '../config.ts'
import type { Places } from './install.ts'

export interface Asked {
  domains: readonly [string, ...string[]]
  email: string
  /** How it is proved: files in the folder of a web server that listens on port 80, or a server of certbot's own there. */
  proof: { kind: 'webroot'; dir: string } | { kind: 'standalone' }
  places: Places
  /** Where certbot keeps what it got; its own folder unless said. */
  dir: string | null
  /** At the server for trials, whose certificates nobody trusts. */
  isStaging: boolean
  isDryRun: boolean
}

export interface Surroundings {
  environment: Environment
  signal: AbortSignal
}

const run = promisify(execFile)
const MS_MAX = 10 * 60_000
const OUTPUT_BYTES_MAX = 4 << 20
const COMPLAINT_CHARACTERS = 2_000
const CERTBOT_DIR = '/etc/letsencrypt'

export const lineageOf = ({ dir, domains }: Pick<Asked, 'dir' | 'domains'>): string => join(dir ?? CERTBOT_DIR, 'live', domains[0])

/** `launcher`: scripts/certificates, which certbot runs after each renewal. Throws Told. */
export const runCertbot = (asked: Asked, launcher: string, surroundings: Surroundings): Promise<void> => runWith(argumentsFor(asked, launcher), surroundings)

/** Whatever ends soon is renewed, and installed as it was told then. Throws Told. */
export const renewAll = (dir: string | null, surroundings: Surroundings): Promise<void> => runWith(['renew', '--quiet', ...foldersOf(dir)], surroundings)

async function runWith(args: readonly string[], { environment, signal }: Surroundings): Promise<void> {
  try {
    await run('certbot', args, { env: environment, signal, timeout: MS_MAX, maxBuffer: OUTPUT_BYTES_MAX })
  } catch (error) {
    const { code, stderr = '', stdout = '' } = error as { code?: unknown; stderr?: string; stdout?: string }
    if (code === 'ENOENT') throw new Told('certbot is not on this machine: install it (Debian: apt-get install certbot).')
    if (error instanceof Error && error.name === 'AbortError') throw new Told('It was interrupted.')
    throw new Told(`certbot failed: ${`${stdout}\n${stderr}`.trim().slice(-COMPLAINT_CHARACTERS)}`)
  }
}

export function argumentsFor({ domains, email, proof, places, dir, isStaging, isDryRun }: Asked, launcher: string): string[] {
  const hook = [launcher, 'install', '--cert', places.certPath, '--key', places.keyPath].map(quoted).join(' ')
  return [
    'certonly',
    '--non-interactive',
    '--agree-tos',
    '--email',
    email,
    '--cert-name',
    domains[0],
    ...domains.flatMap((domain) => ['--domain', domain]),
    ...(proof.kind === 'webroot' ? ['--webroot', '--webroot-path', proof.dir] : ['--standalone']),
    '--key-type',
    'ecdsa',
    '--deploy-hook',
    hook,
    ...foldersOf(dir),
    ...(isStaging ? ['--staging'] : []),
    ...(isDryRun ? ['--dry-run'] : []),
  ]
}

const foldersOf = (dir: string | null): string[] =>
  dir === null ? [] : ['--config-dir', dir, '--work-dir', join(dir, 'work'), '--logs-dir', join(dir, 'logs')]

/** For the shell that certbot gives it to. */
const quoted = (word: string): string => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
