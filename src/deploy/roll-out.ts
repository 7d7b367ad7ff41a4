/** Brings a version into use: a backup first, then the change, then a look whether it works; where it does not, the version before it again. */
import { setTimeout as delay } from 'node:timers/promises'
import { Told } from '../cli/told.ts'
import { Unreachable, type Wire, wholeBody } from '../cli/wire.ts'
import type { Driver } from './driver.ts'
import { type Versions, writeVersions } from './versions.ts'

export interface RollOutParts {
  driver: Driver
  /** To the Earthflow that is deployed. */
  wire: Wire
  readyMsMax: number
  /** Null where it may not be asked; else sentences of what failed. */
  smoke: (() => Promise<string[]>) | null
  backsUp: boolean
  isBuilt: boolean
  /** One step more, for people. */
  say(sentence: string): void
  signal: AbortSignal
}

/** So many backups stay. */
export const BACKUPS_KEPT = 10
const POLL_MS = 1_000
const ASK_MS_MAX = 5_000
const ANSWER_BYTES_MAX = 1 << 20

/** Resolves with what is deployed then; throws Told where it was not, and says what runs instead. */
export async function rollOut(version: string, before: Versions, parts: RollOutParts): Promise<Versions> {
  const { driver, backsUp, say } = parts
  const { current } = before
  if (backsUp && current !== null) say(`backup ${await backupBefore(current, driver)}`)
  else say(backsUp ? 'nothing was deployed yet: there is nothing to back up' : 'no backup: it was not wanted')
  // Should this process die now, a rollback still knows to what.
  await writeVersions(driver.dir, { ...before, next: version })
  try {
    await bringUp(version, parts)
  } catch (error) {
    if (!(error instanceof Told)) throw error
    const { told, isBack } = await goBack(version, current, parts)
    if (isBack) await writeVersions(driver.dir, { ...before, next: null })
    throw new Told(`${error.message}\n${told}`)
  }
  const after = { current: version, previous: current === version ? before.previous : current, next: null }
  await writeVersions(driver.dir, after)
  return after
}

function backupBefore(current: string, driver: Driver): Promise<string> {
  return driver.backup(current, BACKUPS_KEPT).catch((error: unknown) => {
    throw error instanceof Told ? new Told(`${error.message}\nThere is no backup, so nothing was changed; --no-backup goes on without.`) : error
  })
}

async function bringUp(version: string, parts: RollOutParts): Promise<void> {
  const { driver, isBuilt, smoke, say } = parts
  say(`version ${version} is started`)
  await driver.up(version, { isBuilt })
  await untilReady(version, parts)
  say(`version ${version} is ready`)
  const failed = (await smoke?.()) ?? []
  if (failed.length > 0) throw new Told(`The smoke test failed: ${failed.join('; ')}.`)
  if (smoke) say('the smoke test passed')
}

async function goBack(version: string, current: string | null, parts: RollOutParts): Promise<{ told: string; isBack: boolean }> {
  if (current === null || current === version) return { told: `There is no version before ${version} to go back to: see \`deploy logs\`.`, isBack: false }
  parts.say(`version ${version} does not work: back to ${current}`)
  try {
    await parts.driver.up(current, { isBuilt: false })
    await untilReady(current, parts)
    return { told: `Version ${current} runs again.`, isBack: true }
  } catch (error) {
    if (!(error instanceof Told)) throw error
    const told = `Going back to ${current} failed too: ${error.message} See \`deploy logs\`; \`deploy restore\` brings the data of a backup back.`
    return { told, isBack: false }
  }
}

/** It takes calls, and is the version that was meant, where that can be told. Throws Told. */
async function untilReady(version: string, { wire, readyMsMax, signal }: RollOutParts): Promise<void> {
  const stop = Date.now() + readyMsMax
  for (;;) {
    const why = await notReady(version, wire)
    if (why === null) return
    if (Date.now() > stop) throw new Told(`Version ${version} did not become ready within ${readyMsMax / 1_000} s: ${why}.`)
    await delay(POLL_MS, undefined, { signal })
  }
}

async function notReady(version: string, wire: Wire): Promise<string | null> {
  try {
    const [ready, health] = [await ask(wire, '/health/ready'), await ask(wire, '/health')]
    if (ready.status !== 200) return `it says ${String(ready.json.status ?? ready.status)}`
    const other = health.json.version
    return /^\d+\.\d+\.\d+$/.test(version) && typeof other === 'string' && other !== version ? `it is version ${other}` : null
  } catch (error) {
    if (error instanceof Unreachable) return error.message.replace(/\.$/, '')
    throw error
  }
}

async function ask(wire: Wire, path: string): Promise<{ status: number; json: Record<string, unknown> }> {
  const { status, body } = await wire({ method: 'GET', path, msMax: ASK_MS_MAX })
  const text = await wholeBody(body, ANSWER_BYTES_MAX)
  try {
    return { status, json: (JSON.parse(text) ?? {}) as Record<string, unknown> }
  } catch {
    return { status, json: {} }
  }
}
