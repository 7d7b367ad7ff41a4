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
  /** Files in which not one test was found; node:test counts each as a passed test. */
  emptyFiles: string[]
  /** Files of which something printed holds a secret (find-leaks.ts), and in what: `test:stdout`, `test:fail` … */
  leaks: string[]
}

export default async function* countTests(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: TestCounts = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0, emptyFiles: [], leaks: [] }
  const isLeak = createLeakFinder(CANARY_WORD)
  const leaks = new Set<string>()
  for await (const event of events) {
    if (isLeak(inspect(event.data, { depth: null, maxStringLength: null, maxArrayLength: null, breakLength: Number.POSITIVE_INFINITY }))) {
      const file = event.data && 'file' in event.data && event.data.file !== undefined ? relative(process.cwd(), event.data.file) : 'the run'
      leaks.add(`${event.type} of ${file}`)
    }
    if (event.type === 'test:pass' && event.data.nesting === 0 && event.data.file !== undefined) {
      // A file without tests is reported as a test that bears the file's name.
      const names = [event.data.file, relative(process.cwd(), event.data.file)]
      if (names.includes(event.data.name)) counts.emptyFiles.push(names[1]!)
    }
    if (event.type === 'test:summary' && event.data.file === undefined) {
      const { tests, passed, cancelled, skipped, todo } = event.data.counts
      Object.assign(counts, { tests, passed, cancelled, skipped, todo, failed: tests - passed - cancelled - skipped - todo })
    }
  }
  counts.tests -= counts.emptyFiles.length
  counts.passed -= counts.emptyFiles.length
  counts.leaks = [...leaks]
  yield JSON.stringify(counts)
}
