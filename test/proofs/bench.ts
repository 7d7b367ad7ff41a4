import assert from 'node:assert/strict'
import { benchCases } from '../../scripts/bench/cases.ts'
import { formatTable } from '../../scripts/bench/report.ts'
import { runBench } from '../../scripts/bench/run-bench.ts'
import { benchServers } from '../../scripts/bench/servers.ts'
import type { ProofContext } from '../../scripts/dev/proof.ts'

export const about = 'under full load beside nginx every call is answered and recorded; prints the figures'

/** Times are printed, never judged: the machine may be busy. */
export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  const result = await runBench({
    rounds: short ? 2 : 5,
    seconds: short ? 1 : 5,
    servers: benchServers.filter((server) => server.byDefault),
    cases: benchCases.filter((one) => one.byDefault),
    databaseUrl: services.databaseUrl,
    signal: new AbortController().signal,
    say,
  })
  for (const line of formatTable(result).split('\n')) say(line)

  const missing = result.problems.filter(({ server }) => server !== 'nginx')
  assert.deepEqual(missing, [], 'every server but nginx, which the machine may lack, starts')
  for (const { case: name, server, load } of result.rounds) {
    const { ok, total, lost, errs } = load
    assert.ok(total > 0, `${server} answers in case ${name}`)
    assert.deepEqual({ ok, lost, errs }, { ok: total, lost: 0, errs: 0 }, `${server} answers every call of case ${name} with 2xx`)
  }
  assert.equal(result.records.length, 1)
  for (const { server, calls, rows } of result.records) assert.equal(rows, calls, `${server} records every call it answered`)
}
