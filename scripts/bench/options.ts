/** What can be said behind `npm run bench --`. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchCases, caseNamed } from './cases.ts'
import { benchServers, serverNamed } from './servers.ts'
import { type BenchSet, benchSets, quickSet, setNamed } from './sets.ts'

export interface BenchArguments {
  rounds: number
  seconds: number
  triesMax: number
  sets: readonly BenchSet[]
  starts: number
  inside: readonly string[]
  steadyMinutes: number
  databaseUrl: string | null
  out: string
  record: boolean
}

const ROUNDS = 3
const SECONDS = 2
const TRIES_MAX = 3
const STARTS = 5
/** In which one Earthflow is looked into. */
export const INSIDE_CASES: readonly string[] = ['plain', '64k']
const WARM_CALLS = 20_000
/** As `--sets`: what is measured where nothing is said, beside what else is said. */
const EVERYTHING = 'all'

/** Null: help was asked for. Throws a sentence where something makes no sense. */
export function readArguments(args: readonly string[], now: number): BenchArguments | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      sets: { type: 'string' },
      servers: { type: 'string' },
      cases: { type: 'string' },
      steady: { type: 'string' },
      database: { type: 'string' },
      out: { type: 'string' },
      record: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const chosen = values.servers === undefined && values.cases === undefined ? null : chooseSet(values.servers, values.cases)
  if (chosen && values.sets !== undefined) throw new Error('--sets has its own servers and cases: say the one or the others.')
  const steadyMinutes = values.steady === undefined ? 0 : whole('--steady', values.steady)
  const isAll = values.sets === EVERYTHING || (!values.quick && chosen === null && values.sets === undefined && steadyMinutes === 0)
  const sets = chosen ? [chosen] : isAll ? benchSets : values.sets !== undefined ? values.sets.split(',').map(setNamed) : values.quick ? [quickSet] : []
  if (values.record && sets.length === 0) throw new Error('--record with --steady alone would forget all the rest: say --sets all too.')
  return {
    rounds: values.rounds === undefined ? (values.quick ? 1 : ROUNDS) : whole('--rounds', values.rounds),
    seconds: values.seconds === undefined ? SECONDS : whole('--seconds', values.seconds),
    triesMax: values.quick ? 1 : TRIES_MAX,
    sets,
    starts: isAll ? STARTS : values.quick ? 1 : 0,
    inside: isAll ? INSIDE_CASES : values.quick ? INSIDE_CASES.slice(0, 1) : [],
    steadyMinutes,
    databaseUrl: values.database ?? null,
    out: values.out ?? join(tmpdir(), `earthflow-bench-${now}.json`),
    record: values.record,
  }
}

function chooseSet(servers = 'direct,nginx,earthflow-off,earthflow-on', cases = 'plain'): BenchSet {
  return {
    name: 'chosen',
    about: 'what was asked for',
    servers: servers.split(',').map((name) => serverNamed(name).name),
    cases: cases.split(',').map((name) => caseNamed(name).name),
    groupsOf: Number.POSITIVE_INFINITY,
    beside: [],
    roundsMax: Number.POSITIVE_INFINITY,
    warmCalls: WARM_CALLS,
  }
}

function whole(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} is a whole number above 0.`)
  return number
}

const list = (rows: readonly { name: string; about: string }[]): string => {
  const width = Math.max(...rows.map(({ name }) => name.length))
  return rows.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join('\n')
}

export const help = (): string => `npm run bench -- [options]        all sets, and starts, rest, stages and the event loop of one Earthflow

  --quick              the most of it, in a minute and a half
  --sets a,b           some sets; all: everything, as without options
  --servers a,b        some servers in one set; with --cases a,b
  --cases a,b          some cases
  --rounds N           of each case (${ROUNDS})
  --seconds N          of each round (${SECONDS})
  --steady MINUTES     governance on at 70 % of its peak, minute by minute
  --database URL       a PostgreSQL on which databases may be created; else the tests' own is started
  --out FILE           where all rounds go as JSON
  --record             writes the recorded figures, their page and their chart anew
  --help               prints this

Sets
${list(benchSets)}

Servers
${list(benchServers)}

Cases
${list(benchCases)}
`
