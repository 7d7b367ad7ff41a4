import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { withoutBudget } from '../../src/rules/budget.ts'
import { scanFor } from '../../src/rules/detectors/scan.ts'
import { textsOf } from '../../src/rules/plain-texts.ts'
import { compileSearch } from '../../src/rules/search/search.ts'
import { meetsInCode, Notes } from '../../src/rules/views/code-free.ts'
import { noRuns } from '../../src/rules/views/coded-runs.ts'
import { LETTER } from '../../src/rules/views/fold.ts'
import { viewsOf } from '../../src/rules/views/views.ts'

const scan = scanFor(new Set(['credit_card', 'email', 'cloud_key']))

/** Whether the texts, read with something between them that is part of nothing, are seen to be without codes. */
function isCodeFree(values: readonly string[]): { text: Buffer; free: boolean } {
  const { text, slots } = textsOf(values)
  const apart = Buffer.from(text)
  for (const { from } of slots.slice(1)) apart[from - 1] = LETTER
  const coded = noRuns()
  scan(apart, { from: 0, to: apart.length }, () => {}, coded)
  const notes = new Notes()
  notes.note(apart, coded)
  return { text, free: notes.takeNoCodes(apart) && !meetsInCode(text, slots, 0, slots.length) }
}

test('texts that are seen to be without codes have no view, whatever meets at their edges', () => {
  const piece = fc.constantFrom(
    'a',
    'b ',
    'c',
    ' ',
    '-',
    '=',
    '\\',
    '&',
    '%4',
    '41',
    '4f 4b',
    'deadbeef',
    'word ',
    'user',
    'a b c',
    'c29tZQ',
    'Ym9keSBzYW',
    '/',
    '\n',
  )
  const value = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''))
  let free = 0
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 24 }), (values) => {
      const seen = isCodeFree(values)
      if (!seen.free) return
      free++
      assert.deepEqual(viewsOf(seen.text, 0, seen.text.length), [])
    }),
    { numRuns: 4000 },
  )
  assert.ok(free > 100, `${free}`)
})

test('letters that are spelled out over many texts, and an escape of a line break, are seen to meet', () => {
  assert.ok(!isCodeFree([...'password']).free)
  assert.ok(!isCodeFree(['a soft line=', 'break']).free)
  assert.ok(isCodeFree(['You are a helpful assistant.', 'What is a fox?', 'gpt-4o', 'system', 'user']).free)
})

test('a policy keeps no text after it was searched', async () => {
  setFlagsFromString('--expose-gc')
  const gc: () => void = runInNewContext('gc')
  const leaf = { role: null, last: false, cuts: false, placeholder: '[EMAIL]', operand: { kind: 'detector' as const, name: 'email' } }
  const search = compileSearch([leaf], withoutBudget())
  const searched = (() => {
    const texts = textsOf(['so many words '.repeat(4000)])
    assert.equal(search(texts), null)
    return new WeakRef(texts.text.buffer)
  })()
  await setTimeout(1)
  gc()
  assert.ok(searched.deref() === undefined)
  assert.notEqual(search(textsOf(['jane.doe@example.com'])), null)
})
