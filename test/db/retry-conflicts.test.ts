import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isConflict, retryConflicts } from '../../src/db/retry-conflicts.ts'

const failing = (code: string, times: number) => {
  let tries = 0
  return {
    work: async () => {
      if (tries++ < times) throw new Error('Failed query', { cause: Object.assign(new Error('of the server'), { code }) })
      return 'done'
    },
    tries: () => tries,
  }
}

test('work that the database undid for the sake of other work is done again at once', async () => {
  for (const code of ['40P01', '40001']) {
    const { work, tries } = failing(code, 2)
    assert.equal(await retryConflicts(work), 'done')
    assert.equal(tries(), 3)
  }
})

test('work that meets others time after time is given up, with what was wrong', async () => {
  const { work, tries } = failing('40P01', 100)
  await assert.rejects(retryConflicts(work), isConflict)
  assert.ok(tries() < 10)
})

test('no other error is tried again', async () => {
  const { work, tries } = failing('23505', 1)
  await assert.rejects(retryConflicts(work))
  assert.equal(tries(), 1)
})
