import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { until } from '../harness/client.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'in an empty folder: clone, npm start, the printed commands paste and succeed; a second start keeps tenant, key and rows and prints working commands again'
export const rests = true

const INSTALL_MS = 300_000

interface Entry {
  tenant_id: string
  prompt_hash: string
  status: string
}

export default async function prove({ say }: ProofContext): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-clone-'))
  const clone = join(folder, 'earthflow')
  // What a newcomer's shell has: none of our settings, and the machine's own Node.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((part) => !part.includes('node_modules') && !part.includes('node-linux') && !part.includes('node-bin'))
  const environment: Record<string, string> = { PATH: path.join(delimiter), HOME: process.env.HOME ?? folder }
  if (!(await isFree(8443))) environment.EARTHFLOW_PORT = String(await freePort())
  if (!(await isFree(8080))) environment.EARTHFLOW_DASHBOARD_PORT = String(await freePort())
  try {
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', process.cwd(), clone])
    say(
      `cloned ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: clone }).toString().trim()}; the shell's Node is ${execFileSync('node', ['--version'], { env: environment }).toString().trim()}`,
    )

    const first = await run(clone, environment, say)
    const rowsAfterFirst = first.entries.length
    assert.ok(rowsAfterFirst >= 4)
    for (const name of ['secrets', 'demo']) assert.equal(statSync(join(clone, '.earthflow', name)).mode & 0o777, 0o600, name)
    const key = readFileSync(join(clone, '.earthflow', 'demo'), 'utf8')

    const second = await run(clone, environment, say)
    assert.equal(readFileSync(join(clone, '.earthflow', 'demo'), 'utf8'), key, 'the key stays')
    assert.equal(second.entries[0].tenant_id, first.entries[0].tenant_id, 'the tenant stays')
    assert.equal(second.total, first.total + rowsAfterFirst, 'the rows stay, and the second start added as many')
    say(`second start: same tenant, same key, ${second.total} rows`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Starts, pastes every command that is printed, stops. */
async function run(clone: string, environment: Record<string, string>, say: (line: string) => void) {
  const began = Date.now()
  const child = spawn('npm', ['start'], { cwd: clone, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += String(chunk)
    })
  try {
    await until(() => isReady(child, output), 'npm start to print its commands', INSTALL_MS)
    say(`npm start was ready after ${Math.round((Date.now() - began) / 1000)} s`)
    const commands = output.split('\n').filter((line) => line.startsWith('curl '))
    assert.equal(commands.length, 5)
    const answers = commands.map((command) => {
      const { status, stdout, stderr } = spawnSync('bash', ['-c', command], { cwd: clone, env: environment, encoding: 'utf8' })
      assert.equal(status, 0, `${command}\n${stderr}`)
      return stdout
    })
    const [allowed, redacted, blocked, streamed, recorded] = answers
    assert.match(allowed, /You said: Hello/)
    assert.match(redacted, /You said: My number is \[SSN\]/)
    assert.match(blocked, /content_policy_violation/)
    assert.match(streamed, /^data: \{.*data: \[DONE\]\s*$/s)
    const { entries, total } = JSON.parse(recorded) as { entries: Entry[]; total: number }
    assert.deepEqual(
      entries.slice(0, 4).map(({ status }) => status),
      ['ALLOW', 'BLOCK', 'REDACT', 'ALLOW'],
    )
    assert.equal(entries[3].prompt_hash, `sha256:${execFileSync('sh', ['-c', "printf 'Hello' | sha256sum"]).toString().split(' ')[0]}`)
    say('pasted: allowed, redacted, blocked, streamed, the audit trail: all five succeed and say what they should')
    return { entries: entries.slice(0, 4), total }
  } finally {
    child.kill('SIGTERM')
    await exited
  }
}

function isReady(child: ChildProcess, output: string): boolean {
  if (child.exitCode !== null) throw new Error(`npm start ended:\n${output}`)
  return output.includes('Earthflow is ready') && output.includes('Anthropic SDKs')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  server.close()
  return free
}
