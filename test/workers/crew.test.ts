import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Child, type Crew, createCrew } from '../../src/workers/crew.ts'
import type { FromPrimary, FromWorker } from '../../src/workers/messages.ts'

class FakeChild implements Child {
  readonly pid: number
  readonly told: FromPrimary[] = []
  killed = false
  #hear: (message: FromWorker) => void = () => {}
  #ended: (code: number | null) => void = () => {}
  constructor(pid: number) {
    this.pid = pid
  }
  tell(message: FromPrimary): void {
    this.told.push(message)
  }
  kill(): void {
    this.killed = true
    this.end(null)
  }
  onMessage(hear: (message: FromWorker) => void): void {
    this.#hear = hear
  }
  onEnd(ended: (code: number | null) => void): void {
    this.#ended = ended
  }
  say(message: FromWorker): void {
    this.#hear(message)
  }
  async ready(): Promise<void> {
    this.say({ say: 'ready', port: 1, caPath: null })
    await turn()
  }
  async end(code: number | null): Promise<void> {
    this.#ended(code)
    await turn()
  }
  get isLeaving(): boolean {
    return this.told.some(({ say }) => say === 'leave')
  }
}

let children: FakeChild[]
let waiting: { at: number; work: () => void }[]
let time: number
let crew: Crew
let said: string[]
const at = (index: number): FakeChild => children[index] ?? assert.fail(`no child ${index}`)

/** Time passes, and what was planned for it is done. */
async function pass(ms: number): Promise<void> {
  time += ms
  for (const one of waiting.filter((each) => each.at <= time)) {
    waiting.splice(waiting.indexOf(one), 1)
    one.work()
  }
  await turn()
}

function prepare(): void {
  children = []
  waiting = []
  time = 0
  said = []
  const say = (_: object, sentence: string): void => void said.push(sentence)
  crew = createCrew({
    size: 2,
    fork() {
      const child = new FakeChild(children.length)
      children.push(child)
      return child
    },
    heard: () => {},
    ended: () => {},
    log: { info: () => {}, warn: say, error: say },
    later(ms, work) {
      const one = { at: time + ms, work }
      waiting.push(one)
      return () => void (waiting = waiting.filter((each) => each !== one))
    },
    now: () => time,
    leaveMsMax: 300_000,
  })
}
beforeEach(prepare)

/** Both are ready. */
async function up(): Promise<void> {
  const started = crew.start()
  await at(0).ready()
  assert.deepEqual(await started, { say: 'ready', port: 1, caPath: null })
  await at(1).ready()
}

test('where the first ends before it is ready nobody tries again: its exit code is the answer, and nothing is said twice', async () => {
  const started = crew.start()
  await at(0).end(78)
  assert.deepEqual(await started, { code: 78 })
  await pass(60_000)
  assert.deepEqual([children.length, said], [1, []])
})

test('a worker that ends by itself is replaced at once, in whatever way it ends', async () => {
  await up()
  for (const code of [null, 1, 0]) {
    await pass(20_000)
    await at(children.length - 1).end(code)
    await pass(0)
    await at(children.length - 1).ready()
  }
  assert.equal(children.length, 5)
  assert.deepEqual(crew.replaced, { crash: 3, restart: 0 })
})

test('one that dies soon after its start is tried again after a second, then two, and so on to thirty; one that lived long at once again', async () => {
  await up()
  await pass(20_000)
  await at(1).end(1)
  await pass(0)
  const waits: number[] = []
  for (let i = 0; i < 7; i++) {
    await at(children.length - 1).end(1)
    const [next] = waiting.filter((one) => one.at < time + 60_000).map((one) => one.at - time)
    waits.push(next ?? 0)
    await pass(next ?? 0)
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  await pass(20_000)
  const before = children.length
  await at(before - 1).end(1)
  await pass(0)
  assert.equal(children.length, before + 1)
})

test('a restart replaces one after the other, each by one that is ready before the old one is told to end', async () => {
  await up()
  crew.restart()
  assert.deepEqual([children.length, at(0).isLeaving], [3, false])
  await at(2).ready()
  assert.deepEqual(
    children.map(({ isLeaving }) => isLeaving),
    [true, false, false, false],
    'the second’s successor is being started',
  )
  assert.deepEqual(at(0).told, [{ say: 'leave', lead: 'closed' }])
  await at(3).ready()
  assert.equal(at(1).isLeaving, true)
  await at(0).end(0)
  await at(1).end(0)
  assert.deepEqual([children.length, crew.serving.map(({ pid }) => pid), crew.replaced], [4, [2, 3], { crash: 0, restart: 2 }])
})

test('where a new worker does not become ready the restart is given up, and the old ones stay', async () => {
  await up()
  crew.restart()
  await at(2).ready()
  await at(3).end(78)
  assert.match(said.join(), /the restart is given up/)
  assert.deepEqual([at(0).isLeaving, at(1).isLeaving], [true, false])
  await at(0).end(0)
  await pass(60_000)
  assert.deepEqual(
    crew.serving.map(({ pid }) => pid),
    [1, 2],
  )
})

test('one that never gets ready is ended, which is the same', async () => {
  await up()
  crew.restart()
  await pass(120_000)
  assert.equal(at(2).killed, true)
  assert.match(said.join(), /the restart is given up/)
  assert.deepEqual([at(0).isLeaving, at(1).isLeaving], [false, false])
})

test('restarts that are asked for during one are one more, when the old workers have ended', async () => {
  await up()
  for (let i = 0; i < 3; i++) crew.restart()
  await at(2).ready()
  crew.restart()
  await at(3).ready()
  await pass(1_000)
  assert.equal(children.length, 4, 'never more than twice as many as there should be')
  await at(0).end(0)
  await at(1).end(0)
  await at(4).ready()
  await at(5).ready()
  await at(2).end(0)
  await at(3).end(0)
  await pass(60_000)
  assert.deepEqual([children.length, crew.serving.map(({ pid }) => pid)], [6, [4, 5]])
})

test('whoever crashes during a restart leaves neither one too many nor one too few', async () => {
  await up()
  await pass(20_000)
  crew.restart()
  await at(0).end(1) // while its successor is being started
  await pass(0)
  await at(2).ready()
  await at(3).ready()
  await at(1).end(0)
  await pass(60_000)
  for (const child of children) if (child.pid > 3) await child.ready()
  assert.equal(crew.serving.length, 2)
})

test('one that crashed while its successor was being started is told nothing, and not waited for', async () => {
  await up()
  crew.restart()
  await at(0).end(1)
  await at(2).ready()
  assert.deepEqual([at(0).told, waiting.filter((one) => one.at - time === 300_000)], [[], []])
})

test('one that somebody else told to end says so, and is replaced while it ends; where all are told nobody is', async () => {
  await up()
  at(0).say({ say: 'leaving' })
  await pass(200)
  assert.deepEqual([children.length, crew.replaced, at(0).told], [3, { crash: 0, restart: 1 }, []])
  await at(2).ready()
  await at(0).end(0)
  await pass(60_000)
  assert.deepEqual([children.length, crew.serving.map(({ pid }) => pid)], [3, [1, 2]])
  at(1).say({ say: 'leaving' })
  await pass(300_000)
  assert.equal(at(1).killed, true, 'it did not end in time')
  at(2).say({ say: 'leaving' })
  const count = children.length
  void crew.stop('accepting')
  await pass(200)
  assert.equal(children.length, count)
})

test('nor does a restart tell it once more, or replace it again', async () => {
  await up()
  at(1).say({ say: 'leaving' })
  crew.restart()
  await at(2).ready()
  await pass(200)
  for (const child of children.slice(3)) await child.ready()
  for (const old of [0, 1]) await at(old).end(0)
  await pass(60_000)
  assert.deepEqual([children.length, crew.serving.map(({ pid }) => pid), at(1).told], [4, [2, 3], []])
})

test('whoever crashes before its turn has come in a restart leaves neither one too many nor one too few', async () => {
  for (const restOf of [0, 1_000]) {
    await up()
    await pass(restOf === 0 ? 20_000 : 0) // it is replaced at once, or after a second
    crew.restart()
    await at(1).end(1)
    await pass(0)
    await at(2).ready()
    await pass(restOf)
    for (const child of children.slice(3)) await child.ready()
    await at(0).end(0)
    await pass(60_000)
    for (const child of children.slice(4)) await child.ready()
    assert.deepEqual([children.length, crew.serving.length], [4, 2])
    prepare()
  }
})

test('a stop tells all, waits for all, and replaces nobody; one that does not end in time is ended', async () => {
  await up()
  let isStopped = false
  const stopped = crew.stop('accepting').then(() => {
    isStopped = true
  })
  assert.deepEqual(
    children.map(({ told }) => told),
    Array(2).fill([{ say: 'leave', lead: 'accepting' }]),
  )
  await at(0).end(0)
  crew.hurry()
  assert.deepEqual(at(1).told.at(-1), { say: 'hurry' })
  await pass(299_000)
  assert.equal(isStopped, false)
  await pass(1_000)
  await stopped
  assert.deepEqual([at(1).killed, children.length], [true, 2])
})

test('a stop while a worker waits to be replaced, or a restart is under way, ends that too', async () => {
  await up()
  await at(1).end(1)
  crew.restart()
  const stopped = crew.stop('none')
  for (const child of children) if (child.isLeaving) await child.end(0)
  await stopped
  const count = children.length
  await pass(60_000)
  assert.equal(children.length, count)
})
