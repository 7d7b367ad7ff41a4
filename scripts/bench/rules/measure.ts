/** Times of the rules engine beside plain loops over the same texts, in the same run. */

import { compile } from '../../../src/rules/compile.ts'
import { detectors } from '../../../src/rules/detectors.ts'
import type { Policy } from '../../../src/rules/policy.ts'
import { rulesOf } from '../../../src/rules/presets.ts'
import type { Rule } from '../../../src/rules/rule.ts'
import { createFindingsCache } from '../../../src/rules/search/findings-cache.ts'
import { createTurns } from '../../../src/rules/search/turns.ts'
import type { Subject } from '../../../src/rules/targets.ts'
import { createSearchThread } from '../../../src/rules/worker/search-thread.ts'
import { chat, rule, subjectOf } from '../../../test/rules/subject.ts'
import { containsAny, detectAll, matchesAny } from './naive.ts'
import { agentMessages, patterns, prose, words } from './texts.ts'

export interface Figure {
  name: string
  /** Microseconds, the median of the rounds. */
  oursUs: number
  /** The same of the plain loop; null where there is none. */
  plainUs: number | null
  /** What it should be, in words, and whether it is. */
  aim: string
  holds: boolean
}

const SMALL = 1536
const LARGE = 64 << 10
const AGENT_BYTES = 512 << 10
const AGENT_TURNS = 300
const ROUND_MS = 60
/** Before anything counts: code that was just loaded is slow. */
const WARM_MS = 500

const preset = (name: string): Rule[] => rulesOf(name).map((draft, i) => ({ ...draft, id: `rule_${i}` }) as Rule)
const dictionary = (terms: readonly string[]): Policy =>
  compile(1, [rule({ operator: 'detects', value: 'words' }, 'WARN')], { words: { terms, case_sensitive: false } })

/** `rounds` is how often everything is measured; medians are told. */
export async function measureRules({ rounds, say }: { rounds: number; say(line: string): void }): Promise<Figure[]> {
  const all = compile(
    1,
    detectors.map(({ name }, i) => rule({ operator: 'detects', value: name }, 'WARN', { id: `rule_${i}` })),
  )
  const thousand = words(1000)
  const sources = patterns(1000)
  const regexes = sources.map((source) => new RegExp(source, 'i'))
  const manyPatterns = compile(
    1,
    sources.map((value, i) => rule({ operator: 'regex', value }, 'WARN', { id: `rule_${i}` })),
  )
  const asked = (text: string): Subject => subjectOf(chat(['user', text]))
  const small = prose(SMALL)
  const large = prose(LARGE)
  const judging = (policy: Policy, text: string): (() => number) => {
    const subject = asked(text)
    return () => policy.judge(subject).findings.length
  }
  const timed: Record<string, () => number> = {
    empty: judging(compile(1, []), small),
    detectorsSmall: judging(all, small),
    detectorsLarge: judging(all, large),
    plainSmall: () => detectAll(small),
    plainLarge: () => detectAll(large),
    tenWords: judging(dictionary(thousand.slice(0, 10)), small),
    thousandWords: judging(dictionary(thousand), small),
    plainWords: () => containsAny(small, thousand),
    patterns: judging(manyPatterns, small),
    plainPatterns: () => matchesAny(small, regexes),
  }
  for (const run of Object.values(timed)) timeOf(run, WARM_MS)
  const times = Object.fromEntries(Object.keys(timed).map((name): [string, number[]] => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(timed)) times[name].push(timeOf(run))
    say(`round ${round + 1} of ${rounds}`)
  }
  const us = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]))
  const perKib = (us.detectorsLarge - us.detectorsSmall) / ((LARGE - SMALL) / 1024)
  const figures: Figure[] = [
    figure('all detectors, 1.5 KB of prose', us.detectorsSmall, us.plainSmall, '≤ 40 µs', us.detectorsSmall <= 40),
    figure('all detectors, each further KB', perKib, (us.plainLarge - us.plainSmall) / ((LARGE - SMALL) / 1024), '≤ 8 µs', perKib <= 8),
    figure('1,000 terms, 1.5 KB', us.thousandWords, us.plainWords, `< 2 × of 10 terms (${us.tenWords.toFixed(1)} µs)`, us.thousandWords < 2 * us.tenWords),
    figure('1,000 patterns, 1.5 KB', us.patterns, us.plainPatterns, '≤ 150 µs', us.patterns <= 150),
  ]
  return [...figures, ...(await measureAgent(rounds))]
}

const figure = (name: string, oursUs: number, plainUs: number | null, aim: string, holds: boolean): Figure => ({ name, oursUs, plainUs, aim, holds })

/** A body of a coding agent under the preset `default`: for the first time, and with one turn more. The longest time in which nothing else had its turn. */
async function measureAgent(rounds: number): Promise<Figure[]> {
  const policy = compile(1, preset('default'))
  const thread = createSearchThread()
  const first: number[] = []
  const again: number[] = []
  const plain: number[] = []
  let longest = 0
  try {
    for (let round = -1; round < rounds; round++) {
      const isWarming = round < 0 // code that was just loaded is slow
      const shared = { turns: createTurns(), cache: createFindingsCache(), thread }
      const messages = agentMessages(AGENT_BYTES, AGENT_TURNS)
      const calls = [messages, [...messages, { role: 'user', content: prose(SMALL) }]].map((list) =>
        subjectOf(chat(...list.map(({ role, content }): [string, string] => [role, content]))),
      )
      for (const [i, subject] of calls.entries()) {
        const stalls = watchStalls()
        const begin = performance.now()
        await policy.judgeInTurns(subject, { shared, waiting: null })
        const took = (performance.now() - begin) * 1000
        const stall = stalls.stop()
        if (isWarming) continue
        longest = Math.max(longest, stall)
        const list = i === 0 ? first : again
        list.push(took)
      }
      const begin = performance.now()
      for (const { content } of messages) detectAll(content)
      plain.push((performance.now() - begin) * 1000)
    }
  } finally {
    await thread.close()
  }
  const [firstUs, againUs] = [median(first), median(again)]
  return [
    figure('512 KB of an agent, first turn', firstUs, median(plain), 'told', true),
    figure('512 KB of an agent, next turn', againUs, median(plain), 'less than the first', againUs < firstUs),
    figure('longest stall of the event loop meanwhile', longest * 1000, null, '≤ 50 ms', longest <= 50),
  ]
}

/** How long timers had to wait. */
function watchStalls(): { stop(): number } {
  let last = performance.now()
  let longest = 0
  const tick = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last - 1)
    last = now
  }
  const timer = setInterval(tick, 1)
  return {
    stop() {
      tick()
      clearInterval(timer)
      return longest
    },
  }
}

/** Microseconds of one run, out of as many as take a round. */
function timeOf(run: () => number, ms = ROUND_MS): number {
  let count = 0
  const begin = performance.now()
  let now = begin
  while (now - begin < ms) {
    run()
    count++
    now = performance.now()
  }
  return ((now - begin) * 1000) / count
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

export function formatFigures(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, oursUs, plainUs, aim, holds }) => [
    name,
    timeText(oursUs),
    plainUs === null ? '' : timeText(plainUs),
    plainUs === null ? '' : `${(plainUs / oursUs).toFixed(1)} ×`,
    aim,
    holds ? 'yes' : 'NO',
  ])
  const table = [['', 'Earthflow', 'plain loop', 'faster', 'aim', 'holds'], ...rows]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
  return table.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ')).join('\n')
}

const timeText = (us: number): string => (us < 1000 ? `${us.toFixed(1)} µs` : `${(us / 1000).toFixed(2)} ms`)
