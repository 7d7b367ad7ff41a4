import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { type Provider, startProvider } from '../harness/provider.ts'
import { type UnpackedPrograms, unpackPackage } from '../services/debian.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'nginx takes the files in scripts/nginx and, in front of a real Earthflow, passes a stream as it comes and logs no key; systemd takes the units in scripts/systemd'
export const rests = true

const root = join(import.meta.dirname, '..', '..')
const INSTALLED = '/opt/earthflow/current'

export default async function prove({ services, say }: ProofContext): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-host-'))
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  const running: ChildProcess[] = []
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const nginx = await unpackPackage('nginx')
    const { cert, key, caPath } = await ensureDevelopmentCertificate(join(folder, 'certs'))
    const files = await Promise.all([siteOf(folder, installation.port), composeOf(folder, installation.port)])
    const earthflow = await startProcess(installation, () => tenant)
    try {
      tenant = await earthflow.newTenant()
      await earthflow.addUpstream({ name: 'openai-like', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
      for (const { name, port, folder } of files) {
        writeFileSync(join(folder, 'tls.crt'), cert)
        writeFileSync(join(folder, 'tls.key'), key, { mode: 0o600 })
        running.push(start(nginx, folder))
        const site = { host: '127.0.0.1', port, ca: readFileSync(caPath), servername: 'localhost' }
        await until(() => isAnswered(site), `${name} to pass calls on`)
        await passesCalls(site, tenant, provider)
        say(`${name}, taken without a warning by ${versionOf(nginx)}: a stream came piece by piece, a body of 20 MiB passed, and a key in the query was taken`)
      }
      const plainly = await fetch(`http://127.0.0.1:${files[0].plain}/v1/chat/completions`, { method: 'POST', body: '{}' })
      assert.equal(plainly.status, 403, 'a key that comes without TLS is not sent on')
    } finally {
      await earthflow.kill('SIGTERM')
    }
    for (const { name, port, folder } of files) {
      const site = { host: '127.0.0.1', port, ca: readFileSync(caPath), servername: 'localhost' }
      assert.equal(await call({ ...site, path: `/v1/chat/completions?key=${tenant.api_key}` }, chat('Hello'), () => {}), 502)
      await Promise.all(running.splice(0, 1).map((server) => stopped(server, 'SIGQUIT')))
      const logs = globSync(join(folder, '*.log')).map((log) => ({ log: basename(log), text: readFileSync(log, 'utf8') }))
      for (const status of [200, 502]) assert.ok(logs.some(({ text }) => text.includes(`POST /v1/chat/completions" ${status}`)))
      for (const { log, text } of logs) assert.ok(!text.includes(tenant.api_key) && !text.includes('key='), `${log} holds no key`)
      say(`${name}: no key in ${logs.map(({ log }) => log).join(', ')}, not even of the call that found no Earthflow`)
    }
    verifiesUnits(folder, say)
  } finally {
    await Promise.all(running.map((server) => stopped(server, 'SIGKILL')))
    provider.close()
    installation.remove()
    await database.drop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Puts what stands in `text` for another machine in place of what this one has. Throws where it does not stand there. */
function replaced(text: string, pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((so, [from, to]) => {
    assert.ok(so.includes(from), `${from} stands in the file`)
    return so.replaceAll(from, to)
  }, text)
}

interface Configured {
  name: string
  /** Holds `nginx.conf`, and what that names. */
  folder: string
  port: number
}

async function siteOf(parent: string, earthflowPort: number): Promise<Configured & { plain: number }> {
  const folder = join(parent, 'site')
  mkdirSync(join(folder, 'tmp'), { recursive: true })
  const [plain, port] = [await freePort(), await freePort()]
  const text = replaced(readFileSync(join(root, 'scripts', 'nginx', 'earthflow.conf'), 'utf8'), [
    ['/etc/earthflow/tls/', `${folder}/`],
    ['/var/log/nginx/', `${folder}/`],
    ['server 127.0.0.1:8443;', `server 127.0.0.1:${earthflowPort};`],
    ['listen 80;', `listen 127.0.0.1:${plain};`],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`],
    ['    listen [::]:80;\n', ''],
    ['    listen [::]:443 ssl http2;\n', ''],
  ])
  writeFileSync(join(folder, 'site.conf'), text)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/tmp/${name};`).join(' ')
  writeFileSync(join(folder, 'nginx.conf'), `pid ${folder}/nginx.pid; events {} http { ${temporary} include ${folder}/site.conf; }`)
  return { name: 'earthflow.conf', folder, port, plain }
}

async function composeOf(parent: string, earthflowPort: number): Promise<Configured> {
  const folder = join(parent, 'compose')
  mkdirSync(join(folder, 'tmp'), { recursive: true })
  const port = await freePort()
  const text = replaced(readFileSync(join(root, 'scripts', 'nginx', 'compose.conf'), 'utf8'), [
    ['/run/secrets/', `${folder}/`],
    ['/tmp/', `${folder}/tmp/`],
    ['/dev/stderr', join(folder, 'error.log')],
    ['/dev/stdout', join(folder, 'access.log')],
    ['listen 8443 ', `listen 127.0.0.1:${port} `],
    ['listen 8444 ', `listen 127.0.0.1:${await freePort()} `],
    // Where Docker is not, nobody knows the name.
    ['$proxies proxy:8443;', `$proxies 127.0.0.1:${earthflowPort};`],
  ])
  writeFileSync(join(folder, 'nginx.conf'), text)
  return { name: 'compose.conf', folder, port }
}

const nginxOf = ({ root }: UnpackedPrograms): string => join(root, 'usr', 'sbin', 'nginx')
const versionOf = (nginx: UnpackedPrograms): string =>
  spawnSync(nginxOf(nginx), ['-v'], { env: nginx.env, encoding: 'utf8' }).stderr.trim().replace('nginx version: ', '')

/** Once `nginx -t` has nothing to say. */
function start(nginx: UnpackedPrograms, folder: string): ChildProcess {
  const user = process.getuid?.() === 0 ? 'user root; ' : ''
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'start.log'), '-g', `${user}daemon off;`]
  const { status, stderr } = spawnSync(nginxOf(nginx), ['-t', ...args], { env: nginx.env, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.match(stderr, /test is successful/)
  assert.doesNotMatch(stderr, /\[(?:warn|error|crit|alert|emerg)\]/)
  return spawn(nginxOf(nginx), args, { env: nginx.env, stdio: ['ignore', 'inherit', 'inherit'] })
}

async function passesCalls(site: RequestOptions, { api_key }: Tenant, provider: Provider): Promise<void> {
  let goOn = (): void => {}
  provider.script = ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event('first'))
    goOn = () => void response.end(`${event('second')}data: [DONE]\n\n`)
  }
  let text = ''
  const streamed = call(
    { ...site, path: '/v1/chat/completions', headers: { authorization: `Bearer ${api_key}` } },
    chat('Hello', { stream: true }),
    (piece) => {
      text += piece
      // The provider says more only when the client has what it said first: nothing in between may wait for the end.
      if (text.includes('first')) goOn()
    },
  )
  assert.equal(await streamed, 200)
  assert.match(text, /first.*second.*\[DONE\]/s)
  const big = 'x'.repeat(20 << 20)
  provider.script = ({ body, response }) => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ bytes: body.length }))
  let answer = ''
  const took = await call({ ...site, path: `/v1/chat/completions?key=${api_key}` }, chat(big), (piece) => {
    answer += piece
  })
  assert.equal(took, 200)
  assert.ok((JSON.parse(answer) as { bytes: number }).bytes > big.length)
}

const event = (content: string): string => `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`

const isAnswered = (site: RequestOptions): Promise<boolean> =>
  call({ ...site, method: 'GET', path: '/health' }, '', () => {}).then(
    (status) => status === 200,
    () => false,
  )

/** Resolves to the status when the answer is whole. */
async function call(options: RequestOptions, body: string, piece: (text: string) => void): Promise<number> {
  const asking = request({ method: 'POST', ...options, headers: { 'content-type': 'application/json', ...options.headers } })
  asking.end(body)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  answer.setEncoding('utf8').on('data', piece)
  await once(answer, 'end')
  return answer.statusCode ?? 0
}

async function stopped(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill(signal)
  await once(server, 'exit')
}

/** As they are, but for where the program lies: on this machine it is not installed. */
function verifiesUnits(folder: string, say: (line: string) => void): void {
  const units = join(folder, 'units')
  mkdirSync(units)
  const files = globSync(join(root, 'scripts', 'systemd', '*.{service,timer}'))
  for (const file of files) writeFileSync(join(units, basename(file)), readFileSync(file, 'utf8').replaceAll(INSTALLED, root))
  const verify = (names: readonly string[]) =>
    spawnSync('systemd-analyze', ['verify', '--man=no', ...names.map((name) => join(units, name))], { encoding: 'utf8' })
  const { error, status, stderr, stdout } = verify(files.map((file) => basename(file)))
  if (error) {
    say('LEFT OUT: this machine has no systemd-analyze, so the units were not verified by it')
    return
  }
  assert.equal(stdout + stderr, '', 'systemd has nothing to say')
  assert.equal(status, 0)
  writeFileSync(join(units, 'spoilt.service'), readFileSync(join(units, 'earthflow.service'), 'utf8').replace('ProtectSystem=', 'ProtectSytem='))
  assert.match(verify(['spoilt.service']).stderr, /Unknown key.*ProtectSytem/, 'a misspelt directive is told')
  say(`${spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0]} takes ${files.length} units without a word`)
}
