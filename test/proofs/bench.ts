import assert from 'node:assert/strict'
import { INSIDE_CASES } from '../../scripts/bench/options.ts'
import { formatFigures, formatTables, formatTargets } from '../../scripts/bench/report/table.ts'
import { runBench } from '../../scripts/bench/run-bench.ts'
import { benchSets, shortSet } from '../../scripts/bench/sets.ts'
import type { ProofContext } from '../../scripts/dev/proof.ts'

export const about = 'under full load beside other proxies every call is answered and recorded; prints the figures'

const STARTS = 5
/** With a thousand connections some calls are turned away, as they are meant to be. */
const SHEDDING_CASES = ['thousand']

/** Times are printed, never judged: the machine may be busy. */
export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  const result = await runBench({
    rounds: short ? 1 : 3,
    seconds: short ? 1 : 2,
    triesMax: short ? 1 : 3,
    sets: short ? [shortSet] : benchSets,
    starts: short ? 0 : STARTS,
    inside: short ? [] : INSIDE_CASES,
    steadyMinutes: 0,
    services: { databaseUrl: services.databaseUrl, redisUrl: services.redisUrl ?? null },
    signal: new AbortController().signal,
    say,
  })
  for (const part of [formatTables(result), ...(short ? [] : [formatFigures(result), formatTargets(result)])]) for (const line of part.split('\n')) say(line)

  const missing = result.problems.filter(({ server, problem }) => server.startsWith('earthflow') && !/OpenSSL|Redis/.test(problem))
  assert.deepEqual(missing, [], 'every Earthflow starts; others, and what those need, the machine may lack')
  for (const { case: name, server, load } of result.rounds) {
    const { ok, total, lost, errs } = load
    assert.ok(total > 0, `${server} answers in case ${name}`)
    if (server.startsWith('earthflow') && !SHEDDING_CASES.includes(name))
      assert.deepEqual({ ok, lost, errs }, { ok: total, lost: 0, errs: 0 }, `${server} answers every call of case ${name} with 2xx`)
  }
  assert.ok(result.records.length > 0)
  for (const { server, calls, rows } of result.records) assert.equal(rows, calls, `${server} records every call it answered`)
}
