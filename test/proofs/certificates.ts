import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { until } from '../harness/client.ts'
import { prepareInstallation } from '../harness/process.ts'
import { type Authority, makeAuthority, type Pair } from '../proxy/client-certificates.ts'

export const about =
  'the certificate is swapped 20 times under a load of new connections, by a link and file by file, slowly: no handshake fails, connections that were open go on, and the last certificate is served'
export const rests = true

const SWAPS = 20
const CLIENTS = 8
const PAUSE_MS = 20
/** How long key and certificate of two different pairs lie side by side, more than a look at them takes to come round. */
const HALFWAY_MS = 2_500

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-certificates-'))
  const authorities = [await makeAuthority(), await makeAuthority()]
  const issue = (swap: number): Promise<Pair> =>
    authorities[swap % 2].issue({ subject: `CN=swap ${swap}`, names: [{ type: 'dns', value: 'localhost' }], usage: 'server' })
  const folders = foldersIn(dir)
  folders.link(await issue(0))
  const installation = await prepareInstallation(database.url, {
    EARTHFLOW_TLS: 'on',
    TRUSTED_PROXIES: '',
    TLS_CERT_PATH: join(dir, 'live', 'cert.pem'),
    TLS_KEY_PATH: join(dir, 'live', 'key.pem'),
  })
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), 'start'], {
    env: installation.environment,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    const ask = asker(installation.port, authorities)
    await until(() => ask().then(Boolean, () => false), 'Earthflow to listen')
    const failures = new Map<string, number>()
    let answered = 0
    let served = ''
    let isOver = false
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (!isOver) {
        try {
          served = await ask()
          answered++
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException
          failures.set(code ?? message, (failures.get(code ?? message) ?? 0) + 1)
        }
        await sleep(PAUSE_MS)
      }
    })
    const kept = connect({ port: installation.port, host: '127.0.0.1', servername: 'localhost', ca: authorities.map(({ cert }) => cert) })
    let answersOnKept = 0
    kept.on('data', () => answersOnKept++)
    const began = performance.now()
    const swaps = short ? SWAPS / 10 : SWAPS
    for (let swap = 1; swap <= swaps; swap++) {
      const pair = await issue(swap)
      if (swap % 2 === 0) folders.link(pair)
      else await folders.overwrite(pair)
      const expected = new X509Certificate(pair.cert).fingerprint256
      await until(() => served === expected, `certificate ${swap} to be served`)
      const before = answersOnKept
      kept.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
      await until(() => answersOnKept > before, 'an answer on the connection that was open from the start')
    }
    isOver = true
    await Promise.all(clients)
    kept.destroy()
    const seconds = (performance.now() - began) / 1000
    say(
      `${swaps} certificates in ${Math.round(seconds)} s, each served: ${answered} handshakes and answers on new connections, ${[...failures].map(([code, count]) => `${count} × ${code}`).join(', ') || 'none failed'}`,
    )
    assert.deepEqual([...failures], [])
    assert.ok(answered > swaps)
  } finally {
    child.kill('SIGTERM')
    await exited
    rmSync(dir, { recursive: true, force: true })
    installation.remove()
    await database.drop()
  }
  assert.equal(child.exitCode, 0, 'it stopped in order')
}

/** The two ways in which pairs come: a link that is turned to another folder (Kubernetes), and files that are overwritten one after the other, in pieces. */
function foldersIn(dir: string) {
  let count = 0
  let current = ''
  return {
    link({ key, cert }: Pair): void {
      current = join(dir, `pair-${++count}`)
      mkdirSync(current)
      writeFileSync(join(current, 'key.pem'), key)
      writeFileSync(join(current, 'cert.pem'), cert)
      symlinkSync(current, join(dir, 'next'))
      renameSync(join(dir, 'next'), join(dir, 'live'))
    },
    async overwrite({ key, cert }: Pair): Promise<void> {
      writeFileSync(join(current, 'key.pem'), key.slice(0, 100))
      await sleep(HALFWAY_MS / 2)
      writeFileSync(join(current, 'key.pem'), key)
      await sleep(HALFWAY_MS)
      writeFileSync(join(current, 'cert.pem'), cert.slice(0, 300))
      await sleep(HALFWAY_MS / 2)
      writeFileSync(join(current, 'cert.pem'), cert)
    },
  }
}

/** Asks once on a connection of its own, which trusts these authorities and nobody else; resolves with the fingerprint of what was served. */
const asker = (port: number, authorities: readonly Authority[]) => {
  const ca = authorities.map(({ cert }) => cert)
  return (): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = request({ port, host: '127.0.0.1', servername: 'localhost', ca, agent: false, path: '/health' }, (response) => {
        const { fingerprint256 } = (response.socket as import('node:tls').TLSSocket).getPeerCertificate()
        response.resume().on('end', () => (response.statusCode === 200 ? resolve(fingerprint256) : reject(new Error(`status ${response.statusCode}`))))
      })
      asked.on('error', reject).end()
    })
}
