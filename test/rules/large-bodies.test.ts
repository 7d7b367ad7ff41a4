import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ModelCall } from '../../src/call.ts'
import { Failure } from '../../src/errors.ts'
import { withoutBudget } from '../../src/rules/budget.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Policy, Verdict } from '../../src/rules/policy.ts'
import type { Dictionaries, Rule } from '../../src/rules/rule.ts'
import { createFindingsCache } from '../../src/rules/search/findings-cache.ts'
import { pieceOf } from '../../src/rules/search/search.ts'
import type { OtherThread } from '../../src/rules/search/search-in-turns.ts'
import { compileSegmentSearch } from '../../src/rules/search/search-segment.ts'
import { segmentsOf } from '../../src/rules/search/segments.ts'
import { createTurns, type Waiting } from '../../src/rules/search/turns.ts'
import type { FromThread, ToThread } from '../../src/rules/worker/messages.ts'
import { createSearchThread, type SearchThread, type Thread } from '../../src/rules/worker/search-thread.ts'
import { chat, rule, subjectOf } from './subject.ts'

const gist = ({ action, findings, redactions, rulesEvaluated }: Verdict) => ({
  action,
  findings: findings.map(({ rule: { id }, spans }) => [id, spans]),
  redactions,
  rulesEvaluated,
})
const filler = (bytes: number): string => 'Nothing is to be seen in this line but words. '.repeat(Math.ceil(bytes / 46)).slice(0, bytes)
/** Of more bytes than one thread searches while others wait. */
const longCall = (last = 'see osprey'): ModelCall =>
  chat(
    ['system', `osprey ${filler(100_000)}`],
    ...Array.from({ length: 150 }, (_, i): [string, string] => [i % 2 === 0 ? 'user' : 'assistant', `${i} ${filler(2_000 + 17 * i)} ann${i}@example.com`]),
    ['tool', '4111 1111 1111 1111 and Ærø'],
    ['user', last],
  )
const simple = (): Policy => compile(1, [rule({ operator: 'contains', value: 'osprey' }, 'WARN')])
const judge = (policy: Policy, call: ModelCall, thread: SearchThread, waiting: Waiting | null = null): Promise<Verdict> =>
  Promise.resolve(policy.judgeInTurns(subjectOf(call), { shared: { turns: createTurns(), cache: createFindingsCache(), thread }, waiting }))
const failsAs = (reason: Failure['reason']) => (error: unknown) => {
  assert.ok(error instanceof Failure)
  assert.equal(error.reason, reason)
  return true
}

test('a long call is searched in another thread, and the verdict is the same', async () => {
  const birds: Dictionaries = { birds: { terms: ['osprey', 'ærø'], case_sensitive: false } }
  const rules: Rule[] = [
    rule({ operator: 'detects', value: ['email', 'credit_card', 'birds'] }, 'REDACT', { id: 'cut' }),
    rule({ operator: 'regex', value: 'o.prey$', target: 'last_message' }, 'WARN', { id: 'last' }),
    rule(
      {
        all: [
          { operator: 'regex', value: '^osprey', target: 'system' },
          { operator: 'contains', value: 'Ærø', target: 'tool_results' },
        ],
      },
      'WARN',
      { id: 'all' },
    ),
    rule({ not: { operator: 'starts_with', value: '7 Nothing', target: 'user' } }, 'WARN', { id: 'not' }),
    rule({ operator: 'contains', value: 'e' }, 'WARN', { id: 'many' }),
    rule({ operator: 'regex', value: 'ann1[0-9]+@' }, 'WARN', { id: 'some' }),
  ]
  const policy = compile(1, rules, birds)
  const thread = createSearchThread()
  const shared = { turns: createTurns(), cache: createFindingsCache(), thread }
  for (const call of [longCall(), longCall('nothing'), chat(['user', `${filler(400_000)} osprey`]), longCall()]) {
    const verdict = await policy.judgeInTurns(subjectOf(call), { shared, waiting: null })
    assert.deepEqual(gist(verdict), gist(policy.judge(subjectOf(call))))
  }
  await thread.close()
})

test('the bound on findings holds there too', async () => {
  const policy = compile(
    1,
    Array.from({ length: 5 }, (_, i) => rule({ operator: 'contains', value: 'x' }, 'WARN', { id: `r${i}` })),
  )
  const thread = createSearchThread()
  await assert.rejects(judge(policy, chat(['user', 'x'.repeat(1 << 20)]), thread), failsAs('too_large'))
  await thread.close()
})

test('what a long call said is remembered, and of the next turn only what is new is searched', async () => {
  const thread = createSearchThread()
  const left: number[] = []
  const counting: OtherThread = {
    search(work, waiting) {
      left.push(work.pieces.reduce((sum, { segment }) => sum + segment.to - segment.from, 0))
      return thread.search(work, waiting)
    },
  }
  const policy = simple()
  const cache = createFindingsCache()
  const bytes = longCall().text.length
  for (const call of [longCall(), longCall('another osprey')]) {
    const verdict = await policy.judgeInTurns(subjectOf(call), { shared: { turns: createTurns(), cache, thread: counting }, waiting: null })
    assert.equal(verdict.findings.length, 1)
  }
  assert.ok(left[0]! > bytes, `${left[0]} of ${bytes} bytes were searched`)
  // Nothing at all, unless the machine was too busy to search it here.
  assert.ok((left[1] ?? 0) < bytes / 4, `${left[1]} of ${bytes} bytes were searched again`)
  await thread.close()
})

/** A thread that does what the test says and remembers what it was told. */
function scripted(onSearch: (answer: (message: FromThread) => void, listeners: Map<string, (event: never) => void>) => void) {
  const told: ToThread[] = []
  let started = 0
  let ended = 0
  let isHeld = false
  const start = (): Thread => {
    started++
    const listeners = new Map<string, (event: never) => void>()
    return {
      postMessage(message) {
        told.push(message)
        if (message.kind === 'search') onSearch((answer) => listeners.get('message')?.(answer as never), listeners)
      },
      on: (event: string, listener: (event: never) => void) => listeners.set(event, listener),
      terminate: async () => ended++,
      ref: () => {
        isHeld = true
      },
      unref: () => {
        isHeld = false
      },
    }
  }
  return { told, start, counts: () => [started, ended], isHeld: () => isHeld }
}
const silent = () => scripted(() => {})
/** One that answers when it is told to. */
function answering() {
  const answers: (() => void)[] = []
  return {
    ...scripted((answer) => answers.push(() => answer({ kind: 'failed', reason: 'too_large', cause: null }))),
    async answerNext(): Promise<void> {
      while (answers.length === 0) await new Promise((resolve) => setImmediate(resolve))
      answers.shift()?.()
    },
  }
}
/** What one policy would ask about a text. */
function work() {
  const search = compileSegmentSearch(
    [{ operand: { kind: 'literal', phrases: ['osprey'], at: 'anywhere', exact: false, absent: false }, role: null, last: false, cuts: false, placeholder: '' }],
    withoutBudget(),
    'too_large',
  )
  const texts = chat(['user', 'osprey'])
  return { search, pieces: segmentsOf(texts).map((segment) => pieceOf(texts, segment)), textBytes: texts.text.length }
}
const reasonOf = (verdict: Promise<unknown>): Promise<Failure['reason']> =>
  verdict.then(
    () => assert.fail(),
    (error: Failure) => error.reason,
  )
const kindsOf = (told: readonly ToThread[]): string[] => told.map(({ kind }) => kind)

test('a search that takes too long is refused, its thread ended, and the next call has another', async () => {
  const { start, told, counts } = silent()
  const thread = createSearchThread({ start, scanMsMax: 20 })
  await assert.rejects(judge(simple(), longCall(), thread), failsAs('scan_budget'))
  await assert.rejects(judge(simple(), longCall(), thread), failsAs('scan_budget'))
  assert.deepEqual(counts(), [2, 2])
  assert.equal(kindsOf(told).filter((kind) => kind === 'learn').length, 2, 'a new thread knows nothing')
  await thread.close()
})

test('a call that waits too long for others is refused, and they are not', async () => {
  const { start, told } = silent()
  const thread = createSearchThread({ start, waitMsMax: 20 })
  const first = reasonOf(thread.search(work(), null))
  assert.equal(await reasonOf(thread.search(work(), null)), 'unavailable')
  assert.deepEqual(kindsOf(told), ['learn', 'search'])
  await thread.close()
  assert.equal(await first, 'unavailable')
})

test('even a short text is left to the other thread where a pattern takes too long', async () => {
  const policy = compile(1, [rule({ operator: 'regex', value: 'a.*z|a' }, 'REDACT')])
  const call = chat(['user', 'a'.repeat(60_000)])
  const { start, told } = scripted((answer) => answer({ kind: 'failed', reason: 'internal', cause: null }))
  const other = createSearchThread({ start })
  await assert.rejects(judge(policy, call, other), failsAs('internal'))
  assert.deepEqual(kindsOf(told), ['learn', 'search'])
  const thread = createSearchThread()
  const { redactions } = await judge(policy, call, thread)
  assert.equal(
    redactions.reduce((sum, { start: from, end }) => sum + end - from, 0),
    60_000,
  )
  await thread.close()
  await other.close()
})

test('a thread that breaks refuses the call it had, and the next call has another', async () => {
  const events = ['error', 'exit', 'messageerror']
  const { start, counts } = scripted((_, listeners) => listeners.get(events.shift() ?? 'error')?.(new Error('broken') as never))
  const thread = createSearchThread({ start })
  for (let i = 0; i < 3; i++) await assert.rejects(judge(simple(), longCall(), thread), failsAs('internal'))
  assert.deepEqual(counts(), [3, 3])
  await thread.close()
})

test('a thread that cannot search refuses the call for the reason it has', async () => {
  const { start } = scripted((answer) => answer({ kind: 'failed', reason: 'internal', cause: new Error('x') }))
  const thread = createSearchThread({ start })
  await assert.rejects(judge(simple(), longCall(), thread), failsAs('internal'))
  const unstarted = createSearchThread({
    start: () => {
      throw new Error('no more threads')
    },
  })
  await assert.rejects(judge(simple(), longCall(), unstarted))
  await thread.close()
})

test('where too many long calls wait the next is refused, and the others are not', async () => {
  const { start, answerNext } = answering()
  const thread = createSearchThread({ start, waitingMax: 1 })
  const [first, second, third] = Array.from({ length: 3 }, () => reasonOf(thread.search(work(), null)))
  assert.equal(await third, 'unavailable')
  await answerNext()
  await answerNext()
  assert.deepEqual([await first, await second], ['too_large', 'too_large'])
  const full = createSearchThread({ start, waitingBytesMax: 1 })
  const calls = Array.from({ length: 3 }, () => reasonOf(full.search(work(), null)))
  assert.equal(await calls[2], 'unavailable', 'the first is searched, and one may always wait')
  await full.close()
  await Promise.all(calls)
  await thread.close()
})

test('a call whose client left while it waited is not searched, and one that is being searched is not waited for', async () => {
  const { start, told } = silent()
  const thread = createSearchThread({ start })
  const leaving = [new AbortController(), new AbortController()]
  let asked = 0
  const counting: SearchThread = {
    ...thread,
    search(...work) {
      asked++
      return thread.search(...work)
    },
  }
  const calls: Promise<void>[] = []
  for (const { signal } of leaving) {
    calls.push(assert.rejects(judge(simple(), longCall(), counting, { gone: false, signal }), failsAs('unavailable')))
    while (asked < calls.length || !kindsOf(told).includes('search')) await new Promise((resolve) => setImmediate(resolve))
  }
  for (const one of leaving.toReversed()) one.abort()
  await Promise.all(calls)
  assert.deepEqual(kindsOf(told), ['learn', 'search'])
  await assert.rejects(judge(simple(), longCall(), thread, { gone: true, signal: AbortSignal.abort() }), failsAs('unavailable'))
  await thread.close()
})

test('of many long calls of one policy one that another policy must judge comes next, and more than a bound do not wait', async () => {
  const { start, told, isHeld, answerNext } = answering()
  const thread = createSearchThread({ start, waitingMax: 32 })
  const [one, other] = [work(), work()]
  const many = Array.from({ length: 18 }, () => reasonOf(thread.search(one, null)))
  const rare = reasonOf(thread.search(other, null))
  assert.equal(await many[17], 'unavailable')
  await answerNext()
  await answerNext()
  assert.equal(await rare, 'too_large')
  assert.deepEqual(told.flatMap((message) => (message.kind === 'search' ? [message.policy] : [])).slice(0, 2), [0, 1])
  assert.equal(isHeld(), true)
  for (let i = 0; i < 16; i++) await answerNext()
  assert.deepEqual(new Set(await Promise.all(many.slice(0, 17))), new Set(['too_large']))
  assert.equal(isHeld(), false, 'an idle thread keeps no process alive')
  await thread.close()
})

test('once it is closed nothing is searched, and what still waits is refused', async () => {
  const { start, told, counts } = silent()
  const thread = createSearchThread({ start })
  const calls = [judge(simple(), longCall(), thread), judge(simple(), longCall(), thread)]
  while (!kindsOf(told).includes('search')) await new Promise((resolve) => setImmediate(resolve))
  const refused = calls.map((call) => assert.rejects(call, failsAs('unavailable')))
  await thread.close()
  await Promise.all(refused)
  await assert.rejects(judge(simple(), longCall(), thread), failsAs('unavailable'))
  assert.deepEqual(counts(), [1, 1])
})

test('the thread knows a bounded number of policies, and is taught again what it forgot', async () => {
  const { start, told } = scripted((answer) => answer({ kind: 'failed', reason: 'too_large', cause: null }))
  const thread = createSearchThread({ start })
  const policies = Array.from({ length: 33 }, simple)
  for (const policy of [...policies, policies[32], policies[0]]) await assert.rejects(judge(policy, longCall(), thread))
  const known = new Set<number>()
  let most = 0
  for (const message of told) {
    if (message.kind === 'learn') known.add(message.policy)
    else if (message.kind === 'forget') known.delete(message.policy)
    else assert.ok(known.has(message.policy))
    most = Math.max(most, known.size)
  }
  assert.ok(most <= 33)
  assert.equal(kindsOf(told).filter((kind) => kind === 'learn').length, 34)
  await thread.close()
})
