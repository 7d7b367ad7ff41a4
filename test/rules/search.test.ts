import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Texts } from '../../src/call.ts'
import { withoutBudget } from '../../src/rules/budget.ts'
import { compileSearch, type TextLeaf } from '../../src/rules/search/search.ts'
import { SEGMENT_BYTES, type Segment, segmentsOf } from '../../src/rules/search/segments.ts'
import { createTurns, type Steps } from '../../src/rules/search/turns.ts'
import type { Joints } from '../../src/rules/views/joints.ts'
import type { View } from '../../src/rules/views/view.ts'
import { chat } from './subject.ts'

const said = (count: number, first = 0): [string, string][] =>
  Array.from({ length: count }, (_, i) => [
    i % 2 === 0 ? 'user' : 'assistant',
    `${first + i} ${'word '.repeat(200 + ((first + i) % 7) * 90)}${'.'.repeat(((first + i) * 5) % 11)}`,
  ])
const textsIn = ({ text }: Texts, segments: readonly Segment[]): string[] => segments.map(({ from, to }) => text.toString('utf8', from, to))

test('every text is in one segment, in order, and messages are in none with what stands beside them', () => {
  const call = chat(...said(60))
  const segments = segmentsOf(call)
  assert.deepEqual(
    segments.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, i) => first + i)),
    [...call.slots.keys()],
  )
  for (const { first, end, from, to } of segments) assert.deepEqual([from, to], [call.slots[first].from, call.slots[end - 1].to])
  assert.ok(segments.every(({ from, to }) => to <= call.promptEnd || from >= call.promptEnd))
  assert.ok(segments.length > 10)
})

test('a conversation that grows by a turn, or loses its beginning, keeps its other segments', () => {
  const before = chat(...said(60))
  const known = new Set(textsIn(before, segmentsOf(before)))
  const fresh = (call: Texts): number => textsIn(call, segmentsOf(call)).filter((text) => !known.has(text)).length
  assert.ok(fresh(chat(...said(61))) <= 3)
  assert.ok(fresh(chat(...said(55, 5))) <= 8)
})

test('a short call is one segment, and so is each text that is longer than one', () => {
  assert.equal(segmentsOf(chat(...said(1))).length, 1)
  const long = segmentsOf(chat(['user', 'x'.repeat(10 * SEGMENT_BYTES)]))
  assert.deepEqual(
    long.map(({ closed }) => closed),
    [true, false],
  )
  assert.deepEqual(segmentsOf({ slots: [], text: Buffer.alloc(0), promptEnd: 0 }), [])
})

const pattern = (source: string, more: Partial<TextLeaf> = {}): TextLeaf => ({
  operand: { kind: 'pattern', source, exact: false },
  role: null,
  last: false,
  cuts: false,
  placeholder: '',
  ...more,
})
const phrase = (text: string, more: Partial<TextLeaf> = {}): TextLeaf => ({
  ...pattern(''),
  operand: { kind: 'literal', phrases: [text], at: 'anywhere', exact: false, absent: false },
  ...more,
})

/** Reads hyphens as nothing, wherever they stand. */
function withoutHyphens(text: Buffer, from: number, to: number): View {
  const origins: number[] = []
  for (let i = from; i < to; i++) if (text[i] !== 0x2d) origins.push(i)
  return {
    text: Buffer.from(origins.map((i) => text[i])),
    origin: (start, end) => ({ start: origins[start], end: origins[end - 1] + 1 }),
  }
}
const found = (texts: Texts, leaves: readonly TextLeaf[], options: Parameters<typeof compileSearch>[3]): string[][] => {
  const hits = compileSearch(leaves, withoutBudget(), 'too_large', options)(texts) ?? []
  return leaves.map((_, leaf) => (hits[leaf] ?? []).map(({ start, end }) => texts.text.toString('utf8', start, end)))
}

test('what a pattern finds in another reading of a text is told where it stands, in the texts that are meant alone', () => {
  const options = { viewsOf: (text: Buffer, from: number, to: number) => [withoutHyphens(text, from, to)] }
  const call = chat(['system', 'no os-prey'], ...said(30), ['user', 'an os-pr-ey here'], ...said(4), ['user', 'os-prey'])
  const leaves = [pattern('o.prey'), pattern('o.prey', { role: 'system' }), pattern('o.prey', { last: true })]
  assert.deepEqual(found(call, leaves, options), [['os-prey', 'os-pr-ey', 'os-prey'], ['os-prey'], ['os-prey']])
  assert.deepEqual(found(call, leaves, {}), [[], [], []])
})

test('a text too long to be read in another way at once is read so in parts, and what stands where they meet is found', () => {
  const sizes: number[] = []
  const viewsOf = (text: Buffer, from: number, to: number): View[] => {
    sizes.push(to - from)
    return [withoutHyphens(text, from, to)]
  }
  const part = 64 << 10
  for (const before of [part - 4, part - 1, 2 * part - 3, 2 * part + 4090]) {
    const call = chat(['user', `${'é '.repeat(Math.ceil(before / 3)).slice(0, Math.floor(before / 1.5))}os-p-rey ${'x'.repeat(3 * part)}`])
    assert.deepEqual(found(call, [pattern('o.prey', { cuts: true })], { viewsOf })[0].slice(0, 1), ['os-p-rey'])
  }
  assert.ok(Math.max(...sizes) <= part + 4096)
})

/** The texts of messages as if nothing stood between them. */
function joined({ text, slots, promptEnd }: Texts): Joints {
  const own = slots.filter(({ to }) => to <= promptEnd)
  return {
    text: Buffer.concat(own.map(({ from, to }) => text.subarray(from, to))),
    pieces(start, end) {
      let at = 0
      return own.flatMap(({ from, to }) => {
        const piece = { start: Math.max(from, from + start - at), end: Math.min(to, from + end - at) }
        at += to - from
        return piece.end > piece.start ? [piece] : []
      })
    },
  }
}

test('a phrase over several texts is found once where they are read as one, in each of them its part; a pattern is looked for in single texts', () => {
  const options = { jointsOf: joined }
  const call = chat(['user', 'first osp'], ['user', 're'], ['user', 'y'], ['user', 'osprey'], ['system', 'os'], ['user', 'prey'])
  const all = ['osp', 're', 'y']
  assert.deepEqual(found(call, [pattern('o.prey'), phrase('osprey'), phrase('osprey', { role: 'user' })], options), [
    ['osprey'],
    ['osprey', ...all, 'os', 'prey'],
    ['osprey', ...all],
  ])
  assert.deepEqual(found(call, [phrase('osprey')], { jointsOf: () => null }), [['osprey']])
})

test('however many pieces of work are open, the event loop turns after each turn of one of them', async () => {
  const turns = createTurns()
  let between = 0
  const seen: number[] = []
  function* steps(): Steps<void> {
    for (let i = 0; i < 3; i++) {
      const until = performance.now() + 9
      while (performance.now() < until);
      if (i > 0) seen.push(between)
      yield
    }
  }
  let open = true
  const tick = (): void => {
    between++
    if (open) setImmediate(tick)
  }
  const all = Array.from({ length: 4 }, () => turns(steps(), null))
  tick()
  await Promise.all(all)
  open = false
  assert.equal(new Set(seen).size, seen.length)
})

test('work that takes longer than a turn lets others come first, and ends where nobody waits for it any more', async () => {
  const order: string[] = []
  function* steps(): Steps<string> {
    for (let i = 0; i < 3; i++) {
      const until = performance.now() + 10
      while (performance.now() < until);
      order.push(`step ${i}`)
      yield
    }
    return 'done'
  }
  const result = createTurns()(steps(), null)
  setImmediate(() => order.push('another'))
  assert.equal(await result, 'done')
  assert.ok(order.indexOf('another') < order.indexOf('step 2'), order.join())
  const waiting = { gone: true, signal: AbortSignal.abort() }
  await assert.rejects(async () => createTurns()(steps(), waiting))
  assert.equal(
    createTurns()(
      (function* (): Steps<number> {
        yield
        return 7
      })(),
      null,
    ),
    7,
    'what is done within a turn is done at once',
  )
})

test('short pieces of work for which there was no time are begun together with the next turn, in their order, and before any that come later', async () => {
  const turns = createTurns()
  const done: (number | string)[] = []
  function* short(name: number | string): Steps<void> {
    done.push(name)
    yield
  }
  function* long(): Steps<void> {
    const until = performance.now() + 9
    while (performance.now() < until);
    done.push('long')
    yield
  }
  void turns(long(), null)
  const waited = Array.from({ length: 20 }, (_, i) => turns(short(i), null))
  assert.deepEqual(done, ['long'])
  const later = new Promise<void>((resolve) => setImmediate(() => void Promise.resolve(turns(short('later'), null)).then(resolve)))
  await Promise.all([...waited, later])
  assert.deepEqual(done, ['long', ...Array.from({ length: 20 }, (_, i) => i), 'later'])
})

test('work whose first turn fails is of no consequence for what comes after it', async () => {
  const turns = createTurns()
  const failing = (ms: number) =>
    (function* (): Steps<void> {
      const until = performance.now() + ms
      while (performance.now() < until);
      if (ms < 0) yield
      throw new Error('This one fails.')
    })()
  assert.throws(() => turns(failing(9), null), /This one fails/)
  await assert.rejects(async () => turns(failing(0), null), /This one fails/)
  const after = turns(
    (function* (): Steps<number> {
      yield
      return 7
    })(),
    null,
  )
  assert.equal(await after, 7)
})
