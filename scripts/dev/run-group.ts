import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'

const GRACE_MS = 3_000

export interface GroupOptions {
  env: NodeJS.ProcessEnv
  /** Ends the group when aborted. */
  signal: AbortSignal
  timeMaxMs: number
  /** Gets the output; left out: it goes to ours. */
  output?: (text: string) => void
}

export type GroupEnd = { kind: 'ended'; code: number | null; signal: NodeJS.Signals | null } | { kind: 'overtime' } | { kind: 'interrupted' }

/**
 * Runs a command in a process group of its own, and resolves when it is over. Whatever the command started and left behind is killed
 * with its group; when time is up or the signal aborts, the group is asked to end and killed three seconds later.
 */
export async function runGroup(command: string, args: readonly string[], options: GroupOptions): Promise<GroupEnd> {
  if (options.signal.aborted) return { kind: 'interrupted' }
  const { output } = options
  const to = output ? 'pipe' : 'inherit'
  const child = spawn(command, args, { env: options.env, stdio: ['ignore', to, to], detached: true })
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => output?.(text))
  const drained = new Promise((resolve) => child.once('close', resolve))
  const ended = new Promise<GroupEnd>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ kind: 'ended', code, signal })).once('error', reject)
  })
  const stopWaiting = new AbortController()
  const overtime = delay<GroupEnd>(options.timeMaxMs, { kind: 'overtime' }, { signal: stopWaiting.signal }).catch(() => ended)
  const interrupted = new Promise<GroupEnd>((resolve) => {
    options.signal.addEventListener('abort', () => resolve({ kind: 'interrupted' }), { once: true, signal: stopWaiting.signal })
  })
  const end = await Promise.race([ended, overtime, interrupted])
  stopWaiting.abort()
  if (child.pid === undefined) return end
  if (end.kind !== 'ended') {
    signalGroup(child.pid, 'SIGTERM')
    await Promise.race([ended, delay(GRACE_MS, undefined, { ref: false })])
  }
  signalGroup(child.pid, 'SIGKILL')
  if (output) await Promise.race([drained, delay(GRACE_MS, undefined, { ref: false })])
  return end
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal)
  } catch {} // Nobody of the group is left.
}

/** Aborts when somebody wants us to stop. The listeners also keep the first signal from ending us before the services are stopped. */
export function untilSignalled(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => controller.abort())
  return controller.signal
}

/** `45 s`, `3 min 20 s`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
