import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { buildImage, type Image, whyNoImage } from '../deployment/build-image.ts'
import { canaryMasterKey, canarySecret } from '../harness/canary-word.ts'
import { until } from '../harness/client.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'buildah builds the Dockerfile as it is on a Debian with Node 26; as user 1000 on a read-only root the image answers /health, its own health check says so, and SIGTERM ends it in order'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }

export default async function prove({ short, say }: ProofContext): Promise<void> {
  process.env.PATH += ':/usr/local/sbin:/usr/sbin:/sbin' // chroot, ldconfig and their like, where only root's logins look
  const reason = whyNoImage()
  if (reason !== null) {
    say(`LEFT OUT, nothing was built or run: ${reason}`)
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-image-'))
  try {
    const image = await buildImage(folder, say)
    looksRight(image)
    say(`it is ${image.megabytes} MB, of which ${image.baseMegabytes} MB are Debian, Node and npm`)
    await runs(image, say)
    if (short) say('LEFT OUT, as this is the short form: the target `tools`, which installs pg_dump')
    else await hasTools(image, say)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function looksRight({ config, root }: Image): void {
  assert.equal(config.User, '1000:1000')
  assert.deepEqual(config.Entrypoint, ['node', '--max-semi-space-size=16', '/app/src/main.ts'])
  assert.deepEqual(config.Cmd, ['start'])
  assert.deepEqual(Object.keys(config.Volumes ?? {}), ['/var/lib/earthflow'])
  assert.equal(config.Labels?.['org.opencontainers.image.version'], version)
  const inside = (path: string) =>
    spawnSync('ls', ['-A', join(root, path)], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter(Boolean)
  assert.deepEqual(inside('app').toSorted(), ['LICENSE', 'compiled', 'drizzle', 'node_modules', 'package.json', 'src'])
  assert.deepEqual(
    inside('app/node_modules').filter((name) => /^(?:node-|typescript$|openai$|playwright)/.test(name)),
    [],
    'neither a second Node nor what is for developing',
  )
}

async function hasTools({ build }: Image, say: (line: string) => void): Promise<void> {
  const { root, config } = await build('tools')
  assert.equal(config.User, '1000:1000')
  const { status, stdout, stderr } = spawnSync('chroot', ['--userspec=1000:1000', root, 'pg_dump', '--version'], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^pg_dump \(PostgreSQL\) 17\./)
  say(`the target tools has ${stdout.trim()}`)
}

/**
 * In namespaces of its own, as a container engine would: process 1, a read-only root, memory for /tmp and the data folder, user 1000 without any right.
 * $1 is the root, the rest runs in it.
 */
const CONTAINER = `set -e
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o size=256m,mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o size=1g,mode=0700,uid=1000,gid=1000 tmpfs "$root/var/lib/earthflow"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"`
const AS_USER = ['/usr/bin/setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--no-new-privs', '--bounding-set=-all']

async function runs({ config, root }: Image, say: (line: string) => void): Promise<void> {
  const port = await freePort()
  const settings = {
    EARTHFLOW_TLS: 'terminated',
    TRUSTED_PROXIES: '127.0.0.1',
    EARTHFLOW_HOST: '127.0.0.1',
    EARTHFLOW_SERVICES: 'proxy',
    EARTHFLOW_PORT: String(port),
    EARTHFLOW_EMBEDDED_DB: 'true',
    EARTHFLOW_MASTER_KEY: canaryMasterKey(),
    EARTHFLOW_ADMIN_API_KEY: canarySecret('admin-key-'),
    EARTHFLOW_DRAIN_SECONDS: '1',
  }
  const environment = [...config.Env, ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)]
  const inside = (command: readonly string[]) => [...AS_USER, '/usr/bin/env', '-i', '-C', config.WorkingDir, ...environment, ...command]
  const startedAt = Date.now()
  const shell = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', CONTAINER, 'sh', root, ...inside([...config.Entrypoint, ...config.Cmd])]
  const engine = spawn('unshare', shell, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(engine, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let output = ''
  for (const stream of [engine.stdout, engine.stderr])
    stream.on('data', (chunk) => {
      output = (output + String(chunk)).slice(-100_000)
    })
  try {
    await until(() => {
      if (engine.exitCode !== null) throw new Error(`It ended before it was ready:\n${output}`)
      return fetch(`http://127.0.0.1:${port}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    }, 'the image to be ready')
    const health = (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as { status: string; version: string }
    assert.deepEqual([health.status, health.version], ['OK', version])
    say(`as user 1000 on a read-only root it answers /health after ${(Date.now() - startedAt) / 1000} s, a new database included`)

    const first = Number(readFileSync(`/proc/${engine.pid}/task/${engine.pid}/children`, 'utf8').trim())
    assert.match(readFileSync(`/proc/${first}/status`, 'utf8'), /^Uid:\t1000\t1000\t1000\t1000$.*^NSpid:\t\d+\t1$.*^CapBnd:\t0+$/ms)
    const beside = (command: readonly string[]) =>
      spawnSync('nsenter', ['--target', String(first), '--mount', '--pid', 'chroot', root, ...inside(command)], { encoding: 'utf8' })
    for (const path of ['/app/compiled/x', '/app/x', '/x'])
      assert.match(beside(['sh', '-c', `echo >${path}`]).stderr, /Read-only file system|Permission denied/, path)
    assert.match(beside(['sh', '-c', 'echo >/app/compiled/x']).stderr, /Read-only file system/)

    const [kind, ...check] = config.Healthcheck?.Test ?? []
    assert.equal(kind, 'CMD')
    const healthy = beside(['env', 'NODE_DEBUG_NATIVE=COMPILE_CACHE', ...check])
    assert.equal(healthy.status, 0, healthy.stderr)
    const anew = healthy.stderr.match(/was (?:rejected|not initialized)/g) ?? []
    assert.ok((healthy.stderr.match(/was accepted/g) ?? []).length > 10)
    assert.deepEqual(anew, [], 'what was compiled in the build is taken, and nothing is compiled anew')
    say(`its health check, run beside it: ${healthy.stdout.trim()}`)

    process.kill(first, 'SIGTERM')
    assert.deepEqual(await exited, [0, null], output)
    assert.match(output, /Earthflow stopped/)
    say('SIGTERM to process 1: stopped in order, exit code 0')
  } finally {
    engine.kill('SIGKILL')
    await exited
  }
}
