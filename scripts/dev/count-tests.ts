/** A reporter for `node --test` beside the readable one: its whole output is one JSON object, which tells `npm test` what really ran, and who printed a secret. */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'
import { inspect } from 'node:util'
import { CANARY_WORD } from '../../test/harness/canary-word.ts'
import { createLeakFinder } from './find-leaks.ts'

export interface TestCounts {
  tests: number
  passed: number
  failed: number
  cancelled: number
  skipped: number
  todo: number
  /** Files that were run to their end: each is a suite of this name (run-files.ts). */
  files: string[]
  /** Those of them that failed: a test, a hook, or what they load. */
  failedFiles: string[]
  /** Those of them in which not one test was found. */
  emptyFiles: string[]
  /** Files of which something printed holds a secret (find-leaks.ts), and in what: `test:stdout`, `test:fail` … */
  leaks: string[]
}

export default async function* countTests(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: TestCounts = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0, files: [], failedFiles: [], emptyFiles: [], leaks: [] }
  const isLeak = createLeakFinder(CANARY_WORD)
  const leaks = new Set<string>()
  let isEmpty = true
  for await (const event of events) {
    if (isLeak(inspect(event.data, { depth: null, maxStringLength: null, maxArrayLength: null, breakLength: Number.POSITIVE_INFINITY }))) {
      const file = event.data && 'file' in event.data && event.data.file !== undefined ? relative(process.cwd(), event.data.file) : 'the run'
      leaks.add(`${event.type} of ${file}`)
    }
    if (event.type === 'test:pass' || event.type === 'test:fail') {
      if (event.data.details.type !== 'suite') isEmpty = false
      else if (event.data.nesting === 0) {
        // What is in a suite is reported before it, and nothing else in between.
        counts.files.push(event.data.name)
        if (event.type === 'test:fail') counts.failedFiles.push(event.data.name)
        if (isEmpty) counts.emptyFiles.push(event.data.name)
        isEmpty = true
      }
    }
    if (event.type === 'test:summary' && event.data.file === undefined) {
      const { tests, passed, cancelled, skipped, todo } = event.data.counts
      Object.assign(counts, { tests, passed, cancelled, skipped, todo, failed: tests - passed - cancelled - skipped - todo })
    }
  }
  counts.leaks = [...leaks]
  yield JSON.stringify(counts)
}
