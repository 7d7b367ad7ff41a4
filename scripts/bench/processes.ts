/** Pins processes to cores and reads from /proc what they cost. Linux only. */
import { readdir, readFile } from 'node:fs/promises'
import { runCommand } from '../../test/services/run-command.ts'

/** The kernel reports CPU time in these units, whatever its own tick is. */
const TICKS_PER_SECOND = 100

export interface Cores {
  /** Where the server under test runs. */
  server: number
  /** Where load, provider and database run. */
  load: number
  /** All of them that there are, as taskset lists them. */
  all: string
}

/** The first two cores this process may use; on a machine with one core both are that one. */
export async function chooseCores(): Promise<Cores> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => {
    throw new Error('The bench needs Linux: it reads /proc and pins with taskset.')
  })
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(status)?.[1] ?? '0'
  const allowed = list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
  return { server: allowed[0] ?? 0, load: allowed[1] ?? allowed[0] ?? 0, all: list }
}

/** The arguments of `taskset` that run a command on one core. taskset becomes the command, so the process id is the command's. */
export const onCore = (core: number, command: string, args: readonly (string | number)[]): string[] => ['-c', String(core), command, ...args.map(String)]

/** CPU seconds that these processes have used so far. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  const ticks = await Promise.all(
    pids.map(async (pid) => {
      const fields = await statOf(pid)
      return fields === null ? 0 : Number(fields[11]) + Number(fields[12])
    }),
  )
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND
}

/** CPU seconds that a process's first thread has used so far. */
export async function mainThreadSeconds(pid: number): Promise<number> {
  const fields = await statOf(`${pid}/task/${pid}`)
  return fields === null ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** CPU seconds a core has spent in programs so far, whoever they belong to. */
export async function coreBusySeconds(core: number): Promise<number> {
  const line = new RegExp(`^cpu${core} (\\d+) (\\d+) (\\d+)`, 'm').exec(await readFile('/proc/stat', 'utf8'))
  return line ? (Number(line[1]) + Number(line[2]) + Number(line[3])) / TICKS_PER_SECOND : 0
}

/** A process and all that descends from it. */
export async function family(ancestor: number): Promise<number[]> {
  const parents = new Map<number, number>()
  for (const name of await readdir('/proc')) {
    const parent = /^\d+$/.test(name) ? await parentOf(Number(name)) : null
    if (parent !== null) parents.set(Number(name), parent)
  }
  const members = [ancestor]
  // Members found on the way are visited too.
  for (const member of members) for (const [pid, parent] of parents) if (parent === member) members.push(pid)
  return members
}

/** Null when there is no such process on this machine. */
export async function parentOf(pid: number): Promise<number | null> {
  const fields = await statOf(pid)
  return fields === null ? null : Number(fields[1])
}

/** KiB of memory in use. */
export async function residentKib(pids: readonly number[]): Promise<number> {
  const all = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      return Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0)
    }),
  )
  return all.reduce((sum, one) => sum + one, 0)
}

/** The fields of /proc/<pid>/stat after the name, which stands in parentheses and may hold spaces: state, parent …, utime and stime at 11 and 12. */
async function statOf(pid: number | string): Promise<string[] | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat === '' ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Pins a process and its family; those it starts later inherit it. Returns how to undo it, which is nothing where it was not allowed. */
export async function pin(pid: number, cores: string): Promise<() => Promise<void>> {
  const pinAll = async (list: string): Promise<void> => {
    for (const member of await family(pid)) await runCommand('taskset', ['-acp', list, String(member)])
  }
  try {
    const before = /: (.+)$/m.exec(await runCommand('taskset', ['-cp', String(pid)]))![1]!
    await pinAll(cores)
    return () => pinAll(before).catch(() => {})
  } catch {
    return async () => {}
  }
}
