import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { DOCKER, type Fakes, startFakes } from '../deploy/fakes.ts'
import { until } from '../harness/client.ts'

export const about =
  'deployments with a docker that writes down its calls, some of which fail or are killed in the middle: what runs is always a whole version, each change has a backup before it, never two at once'

const ROUNDS = 100
const launcher = join(import.meta.dirname, '..', '..', 'scripts', 'deploy')

export const rests = true

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const fakes = await startFakes({ docker: DOCKER })
  const running = (): string => (existsSync(fakes.path('running')) ? readFileSync(fakes.path('running'), 'utf8').trim() : '')
  let broken = ''
  fakes.said.version = running
  fakes.said.ready = () => running() !== broken
  writeFileSync(fakes.path('docker-compose.prod.yml'), 'services: {}\n')
  try {
    const first = await run(fakes, ['deploy', '--to', '1.0.0']).ended
    assert.deepEqual([first.code, running()], [0, '1.0.0'], first.error)
    fakes.calls()
    const seen = { done: 0, unready: 0, refused: 0, killed: 0 }
    for (let round = 1; round <= (short ? ROUNDS / 10 : ROUNDS); round++) {
      const [before, next] = [running(), `1.${round}.0`]
      const kind = (['done', 'unready', 'refused', 'killed'] as const)[round % 4]
      broken = kind === 'unready' ? next : ''
      const update = run(fakes, ['update', '--to', next], kind === 'refused' ? { BROKEN_IMAGE: next } : {})
      if (kind === 'killed') {
        await sleep(Math.random() * 500)
        update.kill('SIGKILL')
      }
      const { code, error } = await update.ended
      const calls = fakes.calls()
      if (kind === 'done') assert.deepEqual([code, running()], [0, next], error)
      else if (kind === 'killed') assert.ok([before, next].includes(running()), `${running()} runs`)
      else assert.deepEqual([code, running()], [1, before], error)
      const change = calls.findIndex((call) => call.includes(' up '))
      const backup = calls.findIndex((call) => call.includes(' tools backup '))
      assert.ok(change === -1 || (backup !== -1 && backup < change), `a backup comes before a change: ${calls.join('; ')}`)
      // Whoever was killed holds no lock, and the next one brings the two into step.
      if (kind === 'killed') {
        const settled = await run(fakes, ['deploy', '--to', before]).ended
        assert.deepEqual([settled.code, running()], [0, before], settled.error)
        fakes.calls()
      }
      seen[kind]++
    }
    say(
      `${seen.done} updates went through, ${seen.unready} did not become ready and ${seen.refused} could not be started: each of these left the version before; ${seen.killed} were killed in the middle`,
    )
    await neverTwo(fakes, say)
  } finally {
    await fakes.close()
  }
}

async function neverTwo(fakes: Fakes, say: (line: string) => void): Promise<void> {
  fakes.said.ready = () => false
  const slow = run(fakes, ['deploy', '--to', '2.0.0', '--ready-seconds', '30'])
  await until(() => existsSync(fakes.path('.earthflow-deploy.lock')), 'the lock')
  const others = await Promise.all([1, 2, 3].map((n) => run(fakes, ['update', '--to', `2.${n}.0`]).ended))
  for (const { code, error } of others) assert.deepEqual([code, /Another deployment is under way/.test(error)], [1, true], error)
  slow.kill('SIGTERM')
  const { code, error } = await slow.ended
  assert.deepEqual([code, /It was interrupted/.test(error)], [1, true], error)
  say('three beside one that is under way were refused; that one was asked to end, and said what to look at')
}

/** By the launcher, which becomes the program: a signal is the program's. */
function run(
  fakes: Fakes,
  args: readonly string[],
  more: Record<string, string> = {},
): { kill(signal: NodeJS.Signals): void; ended: Promise<{ code: number | null; error: string }> } {
  const env = {
    ...process.env,
    PATH: `${fakes.path('bin')}:${process.env.PATH}`,
    RECORD: fakes.path('record'),
    DIR: fakes.dir,
    BROKEN_IMAGE: '',
    NO_BACKUP: '',
    ...more,
  }
  const child = spawn(launcher, ['--ready-seconds', '1', ...args, '--dir', fakes.dir, '--url', fakes.url], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let error = ''
  child.stderr.on('data', (chunk: Buffer) => (error += String(chunk)))
  return { kill: (signal) => void child.kill(signal), ended: once(child, 'close').then(([code]) => ({ code: code as number | null, error })) }
}
