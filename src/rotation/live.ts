/** Live processes that stand in the way of a rotation, each as a sentence. */
import type { Db } from '../db/connect.ts'
import { liveProcesses, type ProcessReport } from '../db/processes.ts'

/** Of a version that knows nothing of rotation: it says of no master key, and would go on with data keys that were replaced. */
export async function tooOld(db: Db): Promise<string[]> {
  const old = (await liveProcesses(db)).filter(({ masterKeys }) => masterKeys.length === 0)
  return old.map((one) => `${named(one)} is of an older version of Earthflow, which takes no part in a rotation. Bring it to this version first.`)
}

/** Those that have master keys, but none of these, under which data keys would be wrapped. */
export async function withoutAny(db: Db, masterKeys: readonly string[]): Promise<string[]> {
  const others = (await liveProcesses(db)).filter(({ masterKeys: its }) => its.length > 0 && !its.some((id) => masterKeys.includes(id)))
  return others.map(
    (one) =>
      `${named(one)} is alive with master key ${one.masterKeys.join(', ')} alone, and could not open what is made under ${masterKeys.join(', ')}. Give this command the same EARTHFLOW_MASTER_KEY.`,
  )
}

const named = ({ id, host, pid }: ProcessReport): string => `Process ${id} (${pid} on ${host})`
