/** A reporter for `node --test` beside the readable one: its whole output is one JSON object, which tells `npm test` what really ran. */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

export interface TestCounts {
  tests: number
  passed: number
  failed: number
  cancelled: number
  skipped: number
  todo: number
  /** Files in which not one test was found; node:test counts each as a passed test. */
  emptyFiles: string[]
}

export default async function* countTests(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: TestCounts = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0, emptyFiles: [] }
  for await (const event of events) {
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
  yield JSON.stringify(counts)
}
