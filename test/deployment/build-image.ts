/** Builds the Dockerfile without a container engine and without a registry of images: buildah from Debian, on a base that debootstrap and our own Node make. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { cached } from '../services/cache-folder.ts'
import { type UnpackedPrograms, unpackPackage } from '../services/debian.ts'
import { runCommand } from '../services/run-command.ts'

export interface Image extends Built {
  megabytes: number
  baseMegabytes: number
  /** Builds another target of the Dockerfile. */
  build(target: 'tools'): Promise<Built>
}

export interface Built {
  /** What is in it, unpacked. */
  root: string
  config: ImageConfig
}

export interface ImageConfig {
  User: string
  Env: string[]
  Entrypoint: string[]
  Cmd: string[]
  WorkingDir: string
  Volumes?: Record<string, object>
  Labels?: Record<string, string>
  Healthcheck?: { Test: string[] }
}

const project = join(import.meta.dirname, '..', '..')

/** Why this machine cannot build one; null where it can. */
export function whyNoImage(): string | null {
  if (process.platform !== 'linux') return 'it takes Linux'
  if (process.getuid?.() !== 0) return 'it takes root, for namespaces and owners of files'
  if (spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0) return 'it takes namespaces, which this machine does not give'
  if (spawnSync('apt-get', ['--version']).error) return 'it takes apt, which brings buildah and debootstrap'
  if (!existsSync(nodeOf())) return 'it takes the Node of npm, which is not installed'
  return null
}

const nodeOf = (): string => join(project, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')

/** Keeps all it makes in `folder`, but for the base, which is kept between runs. Throws what the failing program said. */
export async function buildImage(folder: string, say: (line: string) => void): Promise<Image> {
  const from = /^ARG NODE_IMAGE=(\S+)/m.exec(readFileSync(join(project, 'Dockerfile'), 'utf8'))?.[1] ?? ''
  const suite = /-([a-z]+)-slim$/.exec(from)?.[1] ?? ''
  const seconds = stopwatch()
  const base = await cached(join('image', `${suite}-${process.version}-${process.arch}`), (into) => makeBase(suite, into))
  say(`a Debian ${suite} with Node ${process.version.slice(1)} after ${seconds()} s`)

  const buildah = await openBuildah(folder)
  const scratch = (await buildah(['from', 'scratch'])).trim()
  await buildah(['copy', '--quiet', scratch, base, '/'])
  await buildah(['config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', scratch])
  await buildah(['commit', '--quiet', scratch, from])
  await buildah(['rm', scratch])
  say(`it stands as ${from} after ${seconds()} s`)

  const npm = await fillNpmCache(folder)
  say(`npm's cache holds the packages of production after ${seconds()} s`)
  const build = async (target: string): Promise<Built> => {
    const name = `localhost/earthflow-${target}:proof`
    const inside = ['--volume', `${npm.cache}:/npm-cache`, '--secret', `id=npmrc,src=${npm.settings}`]
    await buildah([
      'build',
      '--pull=never',
      '--isolation',
      'chroot',
      '--network',
      'host',
      '--format',
      'docker',
      '--target',
      target,
      '--tag',
      name,
      ...inside,
      project,
    ])
    const { Docker } = JSON.parse(await buildah(['inspect', '--type', 'image', name])) as { Docker: { config: ImageConfig } }
    const container = (await buildah(['from', '--pull=never', name])).trim()
    return { root: (await buildah(['mount', container])).trim(), config: Docker.config }
  }
  const built = await build('program')
  say(`the Dockerfile is built after ${seconds()} s`)
  return { ...built, build, megabytes: await megabytesOf(built.root), baseMegabytes: await megabytesOf(base) }
}

/** What the image of Node on Docker Hub is: a small Debian with libatomic1, Node and npm below /usr/local, and a user of number 1000. */
async function makeBase(suite: string, folder: string): Promise<void> {
  const debootstrap = await unpackPackage('debootstrap')
  const mirror = (await runCommand('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Component: main']))
    .split('\n')
    .find((uri) => /\/debian\/?$/.test(uri))
  if (mirror === undefined) throw new Error('apt knows no archive of Debian')
  const program = join(debootstrap.root, 'usr', 'sbin', 'debootstrap')
  await runCommand(program, ['--variant=minbase', '--include=libatomic1', suite, folder, mirror], {
    env: { ...debootstrap.env, LD_LIBRARY_PATH: '', DEBOOTSTRAP_DIR: join(debootstrap.root, 'usr', 'share', 'debootstrap') },
  })
  const local = join(folder, 'usr', 'local')
  cpSync(nodeOf(), join(local, 'bin', 'node'))
  cpSync(npmFolder(), join(local, 'lib', 'node_modules', 'npm'), {
    recursive: true,
    verbatimSymlinks: true,
  })
  await runCommand('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin', 'npm')])
  await runCommand('chroot', [folder, 'useradd', '--uid', '1000', '--create-home', 'node'])
  await runCommand('chroot', [folder, 'apt-get', 'clean'])
}

/** Of the npm that runs us, else of the machine's. Throws where there is none. */
function npmFolder(): string {
  const found =
    process.env.npm_execpath ??
    (process.env.PATH ?? '')
      .split(delimiter)
      .map((folder) => join(folder, 'npm'))
      .find((path) => existsSync(path))
  if (found === undefined) throw new Error('There is no npm on this machine.')
  return dirname(dirname(realpathSync(found)))
}

type Buildah = (args: readonly string[]) => Promise<string>

/** Runs buildah with all it makes below the folder. */
async function openBuildah(folder: string): Promise<Buildah> {
  const { root, env }: UnpackedPrograms = await unpackPackage('buildah')
  const policy = join(folder, 'policy.json')
  writeFileSync(policy, '{"default":[{"type":"insecureAcceptAnything"}]}')
  const registries = join(folder, 'registries.conf')
  writeFileSync(registries, '')
  const storage = ['--root', join(folder, 'images'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs', '--registries-conf', registries]
  const options = { env: { PATH: process.env.PATH ?? '', TMPDIR: folder, HOME: folder } }
  const needsPolicy = ['from', 'commit', 'build', 'copy']
  // It starts itself anew without an environment, so its libraries are found by a list of libraries, which in a mount namespace of its own takes the machine's place.
  const [libraries, list] = [join(folder, 'ld.so.conf'), join(folder, 'ld.so.cache')]
  writeFileSync(libraries, `include /etc/ld.so.conf\n${(env.LD_LIBRARY_PATH ?? '').replaceAll(':', '\n')}\n`)
  await runCommand('ldconfig', ['-X', '-f', libraries, '-C', list])
  const start = ['--mount', 'sh', '-c', 'mount --bind "$1" /etc/ld.so.cache && shift && exec "$@"', 'sh', list, join(root, 'usr', 'bin', 'buildah')]
  return ([verb = '', ...args]) =>
    runCommand('unshare', [...start, ...storage, verb, ...(needsPolicy.includes(verb) ? ['--signature-policy', policy] : []), ...args], options)
}

/** Nothing inside the build needs a network or this machine's settings for npm: it finds every package in a cache that is filled out here, and checks its hash. */
async function fillNpmCache(folder: string): Promise<{ cache: string; settings: string }> {
  const cache = join(folder, 'npm-cache')
  const trial = join(folder, 'npm')
  mkdirSync(trial)
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) cpSync(join(project, name), join(trial, name))
  const { npm_config_local_prefix: _, ...env } = process.env
  await runCommand('npm', ['ci', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--cache', cache], { cwd: trial, env })
  const registry = (await runCommand('npm', ['config', 'get', 'registry'], { cwd: trial, env })).trim()
  const settings = join(folder, 'npmrc')
  writeFileSync(settings, `cache=/npm-cache\noffline=true\nregistry=${registry}\n`)
  return { cache, settings }
}

async function megabytesOf(folder: string): Promise<number> {
  return Number((await runCommand('du', ['--summarize', '--block-size=1000000', folder])).split('\t')[0])
}

/** Seconds since the last look. */
function stopwatch(): () => number {
  let at = Date.now()
  return () => {
    const seconds = Math.round((Date.now() - at) / 100) / 10
    at = Date.now()
    return seconds
  }
}
