import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createDesk, type DeskOptions, type DeskStore } from '../../src/escalations/desk.ts'
import type { HeldCall } from '../../src/escalations/held-call.ts'
import type { Status } from '../../src/escalations/use.ts'
import { heldCall } from './held-calls.ts'

const ID = 'esc_1'
const MINUTE_MS = 60_000

/** A desk over records that are kept here, and what it asked about them. Time stands still until it is told to pass. */
function open(
  t: TestContext,
  {
    use,
    giveBack,
    whileUsing,
    ...bounds
  }: Omit<DeskOptions, 'store'> & { use?: DeskStore['use']; giveBack?: DeskStore['giveBack']; whileUsing?: (call: HeldCall) => void } = {},
) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const states = new Map<string, Status>([[ID, 'pending']])
  const state = { questions: 0, usedBy: null as string | null, tried: [] as string[] }
  const store: DeskStore = {
    ask: async () => ({ why: 'pending', id: ID }),
    async use(id, call) {
      state.tried.push(call.auditId)
      if (state.usedBy !== null) return { why: 'used', id }
      state.usedBy = call.auditId
      whileUsing?.(call)
      return { why: null, id, approvedBy: 'admin', heldAuditId: null }
    },
    async giveBack(_id, { auditId }) {
      if (state.usedBy === auditId) state.usedBy = null
    },
    async statesOf(ids) {
      state.questions++
      return new Map(ids.map((id) => [id, states.get(id) ?? 'expired']))
    },
    ...(use && { use }),
    ...(giveBack && { giveBack }),
  }
  const desk = createDesk({ store, recordWaitingMax: 3, ...bounds })
  const wait = (call: HeldCall = heldCall('t_1'), id = ID, leaving = new AbortController(), before = nothing) => ({
    call,
    leave: () => leaving.abort(),
    answer: desk.wait(id, call, { ms: MINUTE_MS, signal: leaving.signal, before }),
  })
  return { desk, states, state, wait, pass: (ms: number) => t.mock.timers.tick(ms) }
}
const nothing = async (): Promise<void> => {}
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a call that waits goes on when it is approved, and uses the approval', async (t) => {
  const { desk, states, state, wait } = open(t)
  const { call, answer } = wait()
  await settled()
  assert.equal(desk.waiting, 1)
  states.set(ID, 'approved')
  await desk.look()
  assert.deepEqual(await answer, { why: null, id: ID, approvedBy: 'admin', heldAuditId: null })
  assert.deepEqual([state.usedBy, desk.waiting], [call.auditId, 0])
})

test('what is denied or expired says so, and uses nothing', async (t) => {
  for (const status of ['denied', 'expired'] as const) {
    const { desk, states, state, wait } = open(t)
    const { answer } = wait()
    states.set(ID, status)
    await desk.look()
    assert.deepEqual(await answer, { why: status, id: ID })
    assert.deepEqual(state.tried, [])
    t.mock.timers.reset()
  }
})

test('when its time is over it is told how it stands; what is decided afterwards is not used for it', async (t) => {
  const { desk, states, state, wait, pass } = open(t)
  const { answer } = wait()
  await settled()
  pass(MINUTE_MS - 1)
  assert.equal(desk.waiting, 1)
  pass(1)
  assert.deepEqual(await answer, { why: 'pending', id: ID })
  states.set(ID, 'approved')
  await desk.look()
  assert.deepEqual([state.tried, desk.waiting], [[], 0])
})

test('a client that leaves stops waiting, and uses nothing', async (t) => {
  const { desk, states, state, wait } = open(t)
  const { answer, leave } = wait()
  leave()
  await assert.rejects(answer, /was over/)
  states.set(ID, 'approved')
  await desk.look()
  assert.deepEqual([state.tried, desk.waiting], [[], 0])
  const gone = new AbortController()
  gone.abort()
  await assert.rejects(wait(undefined, ID, gone).answer, /was over/)
  await assert.rejects(desk.use(ID, heldCall('t_1'), { signal: gone.signal, before: nothing }), /was over/)
  assert.deepEqual([state.tried, desk.waiting], [[], 0])
})

test('one that leaves while the approval is being used gives it back, and the next in line has it', async (t) => {
  const { desk, states, state, wait } = open(t, { whileUsing: ({ auditId }) => auditId === first.call.auditId && first.leave() })
  const first = wait()
  const second = wait()
  await settled()
  states.set(ID, 'approved')
  await desk.look()
  await assert.rejects(first.answer, /was over/)
  assert.equal((await second.answer).why, null)
  assert.deepEqual([state.tried, state.usedBy], [[first.call.auditId, second.call.auditId], second.call.auditId])
})

test('a caller that may not go on any more leaves the approval to the next in line, whether it waited or named it', async (t) => {
  const { desk, states, state, wait } = open(t)
  const revoked = new Error('revoked meanwhile')
  const before = () => Promise.reject(revoked)
  const first = wait(undefined, ID, undefined, before)
  const second = wait()
  await settled()
  states.set(ID, 'approved')
  await desk.look()
  await assert.rejects(first.answer, revoked)
  assert.equal((await second.answer).why, null)
  await assert.rejects(desk.use(ID, heldCall('t_1'), { signal: new AbortController().signal, before }), revoked)
  assert.deepEqual(state.tried, [second.call.auditId])
})

test('whoever comes while an approval is being used is told that it is used', async (t) => {
  let late: ReturnType<typeof wait> | undefined
  const { desk, states, state, wait } = open(t, {
    whileUsing: () => {
      late ??= wait()
    },
  })
  const first = wait()
  await settled()
  states.set(ID, 'approved')
  await desk.look()
  assert.equal((await first.answer).why, null)
  assert.deepEqual([await late?.answer, state.tried.length, desk.waiting], [{ why: 'used', id: ID }, 1, 0])
})

test('giving back keeps nobody longer than a moment, however long the store tries', async (t) => {
  const { desk, pass } = open(t, { giveBack: () => new Promise(() => {}) })
  const given = desk.giveBack(ID, heldCall('t_1'))
  pass(1_000)
  await given
})

test('of identical calls that wait the first uses the approval, and the others are told that it is used', async (t) => {
  const { desk, states, state, wait } = open(t)
  const line = [wait(), wait(), wait()]
  await settled()
  states.set(ID, 'approved')
  await Promise.all([desk.look(), desk.look()])
  const answers = await Promise.all(line.map(({ answer }) => answer))
  assert.deepEqual(
    answers.map(({ why }) => why),
    [null, 'used', 'used'],
  )
  assert.equal(state.usedBy, line[0].call.auditId)
  assert.equal(state.tried.length, 1, 'nobody asks for what is used, however often it is announced')
})

test('whose turn has come is not told that its time is over', async (t) => {
  let done: (() => void) | undefined
  const { desk, states, wait, pass } = open(t, {
    use: async (id) => {
      await new Promise<void>((resolve) => {
        done = resolve
      })
      return { why: null, id, approvedBy: 'admin', heldAuditId: null }
    },
  })
  const { answer } = wait()
  await settled()
  states.set(ID, 'approved')
  await desk.look()
  pass(MINUTE_MS)
  done?.()
  assert.equal((await answer).why, null)
})

test('waiting asks nothing but once, and an announcement asks one question for all; none while nobody waits', async (t) => {
  const { desk, states, state, wait, pass } = open(t)
  await desk.look()
  assert.equal(state.questions, 0)
  for (const id of ['esc_2', 'esc_3']) states.set(id, 'pending')
  const line = [wait(), wait(undefined, 'esc_2'), wait(undefined, 'esc_3')]
  await settled()
  assert.equal(state.questions, 3)
  pass(MINUTE_MS / 2)
  assert.equal(state.questions, 3)
  await desk.look()
  assert.equal(state.questions, 4)
  desk.close()
  assert.deepEqual(
    (await Promise.all(line.map(({ answer }) => answer))).map((told) => [told.why, told.id]),
    [ID, 'esc_2', 'esc_3'].map((id) => ['pending', id]),
  )
  assert.equal((await wait().answer).why, 'pending', 'nobody waits in a process that ends')
  assert.equal(desk.waiting, 0)
})

test('what was decided between being found and being waited for is heard', async (t) => {
  const { states, wait } = open(t)
  states.set(ID, 'denied')
  assert.deepEqual(await wait().answer, { why: 'denied', id: ID })
})

test('only so many calls wait; one more is refused with its id at once', async (t) => {
  const { desk, wait } = open(t, { waitingMax: 2 })
  const line = [wait(), wait()]
  assert.deepEqual(await wait().answer, { why: 'pending', id: ID })
  line[0].leave()
  await assert.rejects(line[0].answer)
  const next = wait()
  await settled()
  assert.equal(desk.waiting, 2)
  desk.close()
  for (const { answer } of [line[1], next]) assert.equal((await answer).why, 'pending')
})

test('of a tenant, and of calls that are alike, only so many wait, and their bodies take only so much: the rest is told its id at once', async (t) => {
  const { desk, states, wait } = open(t, { tenantWaitingMax: 3, recordWaitingMax: 2, tenantBytesMax: 1_000, bytesMax: 1_500 })
  const second = { why: 'pending', id: 'esc_2' } as const
  for (const id of ['esc_2', 'esc_3', 'esc_4']) states.set(id, 'pending')
  const of = (tenantId: string, bodyBytes = 100) => heldCall(tenantId, { bodyBytes })
  const line = [wait(of('t_1')), wait(of('t_1'))]
  assert.deepEqual(await wait(of('t_1')).answer, { why: 'pending', id: ID }, 'a third one that is alike')
  assert.deepEqual(await wait(of('t_1', 801), 'esc_2').answer, second, 'bytes of the tenant')
  line.push(wait(of('t_1', 800), 'esc_2'))
  assert.deepEqual(await wait(of('t_1', 0), 'esc_3').answer, { why: 'pending', id: 'esc_3' }, 'calls of the tenant')
  line.push(wait(of('t_2', 500), 'esc_4'))
  assert.deepEqual(await wait(of('t_3', 1), 'esc_2').answer, second, 'bytes of all')
  assert.equal(desk.waiting, 4)
  for (const { leave } of line) leave()
  for (const { answer } of line) await assert.rejects(answer)
  line.splice(0, 4, wait(of('t_1', 1_000)))
  assert.equal(desk.waiting, 1, 'who leaves makes room')
  desk.close()
  assert.equal((await line[0].answer).why, 'pending')
})

test('where the store does not answer the call fails, and may not go on', async (t) => {
  const { desk, states, wait } = open(t, { use: () => Promise.reject(new Error('away')) })
  const { answer } = wait()
  await settled()
  states.set(ID, 'approved')
  await desk.look()
  await assert.rejects(answer, /away/)
  assert.equal(desk.waiting, 0)
})
