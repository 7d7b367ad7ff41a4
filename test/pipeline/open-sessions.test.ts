import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { Refusal } from '../../src/errors.ts'
import { createOpenSessions } from '../../src/pipeline/open-sessions.ts'

const NOW = 1_000_000

function given() {
  const open = new Set(['ses_1', 'ses_2'])
  const state = { now: NOW, asked: [] as string[][] }
  const sessions = createOpenSessions({
    openAmong: async (ids) => {
      state.asked.push([...ids])
      return new Set(ids.filter((id) => open.has(id)))
    },
    report: assert.fail,
    now: () => state.now,
  })
  const call = (id: string, { closed = false, expiresAt = NOW + 60_000 } = {}) => {
    const cut: string[] = []
    const outgoing = Object.assign(new EventEmitter(), { closed }) as unknown as ServerResponse
    sessions.follow({ outgoing, cut: ({ reason }: Refusal) => void cut.push(reason) }, { id, expiresAt })
    return { cut, outgoing }
  }
  return { open, state, sessions, call }
}

test('the calls of a session that was ended are cut, and no others', async () => {
  const { open, sessions, call } = given()
  const [one, other, same] = [call('ses_1'), call('ses_2'), call('ses_1')]
  open.delete('ses_1')
  await sessions.look()
  assert.deepEqual([one.cut, other.cut, same.cut], [['session_ended'], [], ['session_ended']])
  sessions.close()
})

test('a session whose time is over was not ended: what it began may go on, though its row is cleared away', async () => {
  const { open, state, sessions, call } = given()
  const one = call('ses_1', { expiresAt: NOW + 10 })
  open.delete('ses_1')
  state.now = NOW + 10
  await sessions.look()
  assert.deepEqual([one.cut, state.asked], [[], []])
  sessions.close()
})

test('nobody is asked about a call that is over, or whose client left while its token was looked up', async () => {
  const { state, sessions, call } = given()
  call('ses_1', { closed: true })
  call('ses_2').outgoing.emit('close')
  await sessions.look()
  assert.deepEqual(state.asked, [])
  sessions.close()
})

test('who is let in while a session ends is found by a second look, which the end of another does not bring forward', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { open, sessions, call } = given()
  open.clear()
  await sessions.look()
  t.mock.timers.tick(6_000)
  await sessions.look()
  const late = call('ses_1')
  t.mock.timers.tick(1_500)
  await Promise.resolve()
  assert.deepEqual(late.cut, [])
  t.mock.timers.tick(5_500)
  await new Promise(setImmediate)
  assert.deepEqual(late.cut, ['session_ended'])
  sessions.close()
})
