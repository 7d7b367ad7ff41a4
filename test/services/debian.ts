/** Servers from Debian or Ubuntu packages, unpacked into the cache folder: nothing is installed and nothing on the machine changes. */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cached, cacheFolder } from './cache-folder.ts'
import { runCommand } from './run-command.ts'

/** What may come along with a server. The rest of what apt would install (perl, a compiler for PostgreSQL's jit, set-up scripts) is not needed to run it. */
const NEEDED = /^(lib|lua-|redis-|valkey-|postgresql-|chromium-)/
const NOT_NEEDED = /^(libc6|libc-bin|libllvm|libz3|libperl|libjson-perl|libcommon-sense|libtypes-serialiser|postgresql-common|postgresql-client)/

/** Programs unpacked in a folder, with the environment in which they find their libraries. */
export interface UnpackedPrograms {
  root: string
  env: NodeJS.ProcessEnv
}

/** The newest `postgresql-N` unpacked before, else the newest the distribution offers. Throws when there is none. */
export async function newestPostgresPackage(): Promise<string> {
  const unpacked = globSync('postgresql-+([0-9])', { cwd: join(cacheFolder(), packagesEntry()) })
  const names = unpacked.length > 0 ? unpacked : await withFreshLists(listPostgresPackages)
  return names.toSorted((a, b) => Number(b.split('-')[1]) - Number(a.split('-')[1]))[0]!
}

async function listPostgresPackages(options: string[]): Promise<string[]> {
  const names = (await runCommand('apt-cache', [...options, 'search', '--names-only', '^postgresql-[0-9]+$'])).match(/^postgresql-\d+/gm)
  if (names === null) throw new Error('apt knows no postgresql package')
  return names
}

/** Packages of another release would not find their libraries. */
function packagesEntry(): string {
  const release = readFileSync('/etc/os-release', 'utf8')
  const [id, version] = ['ID', 'VERSION_ID'].map((name) => new RegExp(`^${name}="?([\\w.-]+)`, 'm').exec(release)?.[1] ?? 'unknown')
  return join('debian', `${id}-${version}-${process.arch}`)
}

/** Downloads and unpacks a package with the libraries this machine lacks. Throws where there is no apt, no network or no such package. */
export async function unpackPackage(name: string, always: readonly string[] = []): Promise<UnpackedPrograms> {
  const root = await cached(join(packagesEntry(), name), async (folder) => {
    const debs = join(folder, 'debs')
    mkdirSync(debs)
    await withFreshLists(async (apt) => {
      const plan = await runCommand('apt-get', [...apt, 'install', '--simulate', '--no-install-recommends', name])
      await runCommand('apt-get', [...apt, 'download', ...packagesToUnpack(plan, [name, ...always])], { cwd: debs })
    })
    for (const deb of globSync('*.deb', { cwd: debs })) await runCommand('dpkg', ['-x', join(debs, deb), folder])
    rmSync(debs, { recursive: true })
  })
  // LD_LIBRARY_PATH is searched first, so only folders that hold libraries of these packages are named.
  const libraries = globSync('{usr/,}lib/{*-linux-gnu*,}{/,/lua/5.1,/llvm,/pulseaudio}', { cwd: root }).filter((path) => existsSync(join(root, path)))
  return { root, env: { ...process.env, LD_LIBRARY_PATH: libraries.map((path) => join(root, path)).join(':') } }
}

/** From what `apt-get install --simulate` prints: the packages to unpack. `always` are those asked for, which a machine may have installed already. */
export function packagesToUnpack(plan: string, always: readonly string[]): string[] {
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1]!)
  return [...new Set([...always, ...missing.filter((name) => NEEDED.test(name) && !NOT_NEEDED.test(name))])]
}

/**
 * Tries with the machine's package lists, and once more with lists of our own, fetched now: a slim image comes without, and only root could refresh its.
 * Those are kept for the day.
 */
async function withFreshLists<T>(task: (options: string[]) => Promise<T>): Promise<T> {
  try {
    return await task([])
  } catch {
    const optionsFor = (folder: string) => ['-o', `Dir::State::Lists=${join(folder, 'lists')}`, '-o', `Dir::Cache=${join(folder, 'cache')}`]
    const today = new Date().toISOString().slice(0, 10)
    for (const old of globSync(join(cacheFolder(), 'apt-lists', '*'))) if (!old.includes(today)) rmSync(old, { recursive: true, force: true })
    const lists = await cached(join('apt-lists', today), async (folder) => {
      for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, name), { recursive: true })
      await runCommand('apt-get', [...optionsFor(folder), 'update'])
    })
    return await task(optionsFor(lists))
  }
}
