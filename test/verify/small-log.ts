/** A log that is easily looked over, and what the verifier says of it. */
import assert from 'node:assert/strict'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { type LogReport, type OutsideNote, verifyLog } from '../../src/verify/verify-log.ts'
import { type BuiltLog, createLogBuilder, createSigningKey } from './build-log.ts'
import { recordsOf } from './log-records.ts'
import { createRandom, randomExchange } from './random-entries.ts'

export const key = createSigningKey('earthflow/test')
export const keys = [parseNoteKey(key.vkey)]
export const verify = (log: BuiltLog, outside: OutsideNote[] = []): Promise<LogReport> => verifyLog(recordsOf(log), { keys, outside })

/** Two writers of ten exchanges each, in batches of five, under two checkpoints; and two exchanges that are under none yet. */
export function smallLog() {
  const random = createRandom(7)
  const builder = createLogBuilder({ key })
  const exchanges = (count: number) => Array.from({ length: count }, (_, i) => randomExchange(random, `ten_${i % 2}`, builder.now + i))
  const [a, b] = [builder.openWriter(), builder.openWriter()]
  for (let i = 0; i < 2; i++) {
    for (const writer of [a, b]) builder.write(writer, exchanges(5))
    builder.passTime(1_000)
    builder.checkpoint()
  }
  return { builder, log: builder.log, a, b, exchanges }
}

export const rowAt = (log: BuiltLog, writer_id: string, seq: number): ChainedEntry => log.rows.find((row) => row.writer_id === writer_id && row.seq === seq)!

/** The one thing wrong with a log: where, and in which words. */
export async function assertOnly(
  log: BuiltLog,
  place: { writer_id: string | null; seq: number | null },
  words: RegExp,
  outside: OutsideNote[] = [],
): Promise<void> {
  const { problems, holds } = await verify(log, outside)
  assert.equal(holds, false)
  assert.deepEqual(
    problems.map(({ writer_id, seq }) => ({ writer_id, seq })),
    [place],
    JSON.stringify(problems),
  )
  assert.match(problems[0]!.problem, words)
}

/** That, and more that follows from it. */
export async function assertFinds(
  log: BuiltLog,
  place: { writer_id: string | null; seq?: number | null },
  words: RegExp,
  outside: OutsideNote[] = [],
): Promise<void> {
  const { problems, holds } = await verify(log, outside)
  assert.equal(holds, false)
  const found = problems.some((each) => each.writer_id === place.writer_id && (place.seq === undefined || each.seq === place.seq) && words.test(each.problem))
  assert.ok(found, JSON.stringify(problems, null, 1))
}
