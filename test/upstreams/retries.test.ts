import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAILURES_TILL_DOWN } from '../../src/upstreams/health.ts'
import { RETRY_AFTER_MS_MAX, retryAfterMs } from '../../src/upstreams/retry-after.ts'
import { createStanding, type StandingOptions } from '../../src/upstreams/standing.ts'
import { ATTEMPTS_MAX, createTries, type TriesOptions } from '../../src/upstreams/tries.ts'
import type { Upstream } from '../../src/upstreams/upstream.ts'

const WALL = Date.UTC(2026, 0, 1)
let ms = 0
const repeated: string[] = []

function upstream(
  name: string,
  { isCurrent = () => true, queued = 0, ...options }: Partial<StandingOptions> & { isCurrent?: () => boolean; queued?: number } = {},
): Upstream {
  const standing = createStanding({
    name: { name, tenantId: null },
    hasBreaker: true,
    passthrough: false,
    now: () => ms,
    wallNow: () => WALL + ms,
    watch: { repeated: ({ name }) => void repeated.push(name) },
    ...options,
  })
  return { name, standing, isCurrent, queueMax: queued === 0 ? 1 : 0 } as unknown as Upstream
}

const refused = { status: null, error: 'ECONNREFUSED' }
const busy = { status: 503, error: null }
type Ended = { status: number | null; error: string | null; retryAfter?: string; hadLeft?: boolean }

/** Plays a call to its end: each attempt ends like this. Whom it asked, and how long it waited before. */
async function play(candidates: Upstream[], ends: (name: string, n: number) => Ended, options: Partial<TriesOptions> = {}) {
  const asked: string[] = []
  const waited: number[] = []
  const wentOn: boolean[] = []
  const tries = createTries({
    candidates,
    isRepeatable: true,
    random: () => 0.5,
    pause: async (more) => {
      waited.push(more)
      ms += more
    },
    ...options,
  })
  for (let turn = await tries.next(); turn; turn = await tries.next()) {
    const { retryAfter, hadLeft = false, ...attempt } = ends(turn.upstream.name, asked.length)
    asked.push(turn.upstream.name)
    turn.passage.saw(attempt, retryAfter)
    if (attempt.status !== null) wentOn.push(tries.goOn(turn.upstream, attempt.status))
    turn.end(attempt)
    tries.failed(turn.upstream, attempt, hadLeft)
  }
  return { asked: asked.join(' '), waited, wentOn }
}

test('somebody new is asked at once; when nobody new is left, the same ones again after full jitter, twice at most', async () => {
  const all = await play([upstream('a'), upstream('b')], () => busy)
  assert.deepEqual(all, { asked: 'a b a b', waited: [125, 250], wentOn: [true, true, true, false] })
  assert.deepEqual(await play([upstream('a')], () => refused), { asked: 'a a a', waited: [125, 250], wentOn: [] })
  assert.deepEqual((await play([upstream('a')], () => busy, { random: () => 0 })).waited, [0, 0], 'jitter is full')
})

test('no call makes more than five attempts, however many would serve it', async () => {
  const many = await play(
    [...'abcdefgh'].map((name) => upstream(name)),
    () => busy,
  )
  assert.deepEqual([many.asked, many.wentOn.at(-1)], ['a b c d e', false])
  assert.equal((await play([upstream('a'), upstream('b'), upstream('c'), upstream('d')], () => busy)).asked.split(' ').length, ATTEMPTS_MAX)
})

test('nobody is asked again after a limit, an error of another kind, a time-out, an answer that is none, or where it may be done twice', async () => {
  for (const end of [
    { status: 429, error: null },
    { status: 500, error: null },
    { status: null, error: 'UND_ERR_HEADERS_TIMEOUT' },
    { status: null, error: 'REPLY_TIMEOUT' },
    { status: 504, error: null },
    { status: null, error: 'NOT_HTTP' },
    { status: null, error: 'UND_ERR_SOCKET', hadLeft: true },
    { status: null, error: 'EGRESS_REFUSED' },
    { status: null, error: 'OUT_OF_REACH' },
  ])
    assert.equal((await play([upstream('a')], () => end)).asked, 'a', JSON.stringify(end))
  const late = { status: null, error: 'UND_ERR_CONNECT_TIMEOUT' }
  assert.equal((await play([upstream('a')], () => late)).asked, 'a a a', 'where no connection was made nothing had left')
  assert.deepEqual(await play([upstream('a'), upstream('b')], () => ({ status: 504, error: null })), { asked: 'a b', waited: [], wentOn: [true, false] })
  assert.equal((await play([upstream('a'), upstream('b')], () => ({ status: null, error: 'UND_ERR_SOCKET', hadLeft: true }))).asked, 'a b', 'another one is')
  assert.deepEqual(await play([upstream('a')], () => busy, { isRepeatable: false }), { asked: 'a', waited: [], wentOn: [false] })
})

test('a limit lets the next candidate try; an error of the provider’s own does not', async () => {
  assert.deepEqual((await play([upstream('a'), upstream('b')], () => ({ status: 429, error: null }))).wentOn, [true, false])
  const tries = createTries({ candidates: [upstream('a'), upstream('b')], isRepeatable: true, random: () => 0, pause: async () => {} })
  const turn = await tries.next()
  assert.ok(turn)
  for (const status of [200, 302, 400, 401, 404, 500, 501]) assert.equal(tries.goOn(turn.upstream, status), false, String(status))
})

test('Retry-After is waited for; who asks for more than five seconds is not asked again', async () => {
  assert.deepEqual(
    (await play([upstream('a')], () => ({ ...busy, retryAfter: '2' }))).waited,
    [2_125, 2_250],
    'and jitter after that, or all would come at once',
  )
  assert.deepEqual((await play([upstream('a')], () => ({ ...busy, retryAfter: '0' }))).waited, [125, 250])
  assert.deepEqual(await play([upstream('a')], () => ({ ...busy, retryAfter: '6' })), { asked: 'a', waited: [], wentOn: [false] })
  const other = await play([upstream('a'), upstream('b')], (name) => ({ ...busy, ...(name === 'a' ? { retryAfter: '30' } : {}) }))
  assert.equal(other.asked, 'a b b b', 'the other one is')
})

test('Retry-After is read as seconds or a date, from nothing to a minute; anything else is nothing', () => {
  const cases: [string | string[] | undefined, number][] = [
    ['0', 0],
    ['7', 7_000],
    ['1.5', 1_500],
    [' 3 ', 3_000],
    ['999999999', RETRY_AFTER_MS_MAX],
    ['9'.repeat(400), RETRY_AFTER_MS_MAX],
    ['-1', 0],
    ['abc', 0],
    ['1e3', 0],
    ['', 0],
    [undefined, 0],
    [['4', '9'], 4_000],
    [[], 0],
    [new Date(WALL + 9_000).toUTCString(), 9_000],
    [new Date(WALL - 9_000).toUTCString(), 0],
    [new Date(WALL + 9e9).toUTCString(), RETRY_AFTER_MS_MAX],
    ['Sun, 99 Foo 2026', 0],
  ]
  for (const [header, expected] of cases) assert.equal(retryAfterMs(header, WALL), expected, JSON.stringify(header))
})

test('who asked to be left alone is asked after the others, and still asked where nobody else is left', async () => {
  const [a, b] = [upstream('a'), upstream('b')]
  const rest = (one: Upstream, end: Ended) => {
    const passage = one.standing.enter()
    passage?.saw(end, end.retryAfter)
    passage?.leave(end)
  }
  rest(a, { status: 429, error: null, retryAfter: '20' })
  assert.equal((await play([a, b], () => ({ status: 429, error: null }))).asked, 'b a')
  assert.equal(a.standing.restMs, 20_000)
  ms += 20_000
  assert.equal((await play([a, b], () => ({ status: 429, error: null }))).asked, 'a b')
  const own = upstream('own', { passthrough: true })
  rest(own, { status: 429, error: null, retryAfter: '20' })
  assert.equal(own.standing.restMs, 0, 'the limit of a caller’s own credential is nobody else’s')
  rest(own, { status: 503, error: null, retryAfter: '20' })
  assert.equal(own.standing.restMs, 20_000)
})

test('of the calls under way at an upstream a fifth may be ones that are sent again, and always three', () => {
  const { standing } = upstream('a')
  const taken = Array.from({ length: 3 }, () => standing.repeat())
  assert.ok(taken.every((release) => release !== null))
  assert.equal(standing.repeat(), null)
  taken[0]?.()
  const again = standing.repeat()
  assert.ok(again)
  const passages = Array.from({ length: 20 }, () => standing.enter())
  assert.ok(standing.repeat(), 'a fourth of twenty')
  assert.equal(standing.repeat(), null)
  for (const passage of passages) passage?.leave(null)
  taken[1]?.()
  assert.equal(standing.repeat(), null, 'of none under way a fourth is too many: those that left are counted no more')
})

test('a call that finds no place among those sent again has its answer passed on', async () => {
  const one = upstream('a')
  const places = Array.from({ length: 3 }, () => one.standing.repeat())
  assert.deepEqual(await play([one], () => busy), { asked: 'a', waited: [], wentOn: [false] })
  for (const release of places) release?.()
  assert.equal((await play([one], () => busy)).asked, 'a a a')
})

test('places are given back however a call ends: answered, failed, left while it waits, or shut out', async () => {
  const one = upstream('a')
  repeated.length = 0
  const left = { pause: () => Promise.reject(new Error('left')) }
  for (let i = 0; i < 20; i++) {
    await play([one], (_, n) => (n === 0 ? busy : { status: 404, error: null }))
    await assert.rejects(
      play([one], () => busy, left),
      /left/,
    )
    await play([one], () => ({ status: 200, error: null }))
    ms += 10_000 // else half of so many failed
  }
  assert.ok([1, 2, 3].every(() => one.standing.repeat() !== null))
  assert.equal(repeated.length, 20, 'only what was sent again is counted')
})

test('who is shut, full, or not what it was any more is passed by; a place is not kept for it', async () => {
  const shut = upstream('shut')
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) {
    const passage = shut.standing.enter()
    passage?.saw(refused)
    passage?.leave(refused)
  }
  assert.equal((await play([shut, upstream('full', { queued: 1 }), upstream('b')], () => ({ status: 429, error: null }))).asked, 'b')
  let isCurrent = true
  const moving = upstream('moving', { isCurrent: () => isCurrent })
  const gone = upstream('gone', { isCurrent: () => false })
  assert.equal(
    (await play([moving, gone], () => ({ status: 429, error: null }))).asked,
    'moving',
    'another one that is not what it was when the call was let in',
  )
  const changed = await play([moving], () => busy, {
    pause: async () => {
      isCurrent = false
    },
  })
  assert.equal(changed.asked, 'moving', 'one that was changed while the call waited')
  assert.ok([1, 2, 3].every(() => moving.standing.repeat() !== null))
})

test('a breaker that opens while a call waits to be sent again keeps it from going there', async () => {
  const one = upstream('a')
  const { asked } = await play([one], () => busy, {
    pause: async () => {
      for (let i = 1; i < FAILURES_TILL_DOWN; i++) {
        const passage = one.standing.enter()
        passage?.saw(refused)
        passage?.leave(refused)
      }
    },
  })
  assert.deepEqual([asked, one.standing.state], ['a', 'open'])
})
