import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSpanQueue, SPANS_MAX, type SpanQueueOptions } from '../../src/telemetry/span-queue.ts'
import { until } from '../harness/client.ts'

const serialize = (spans: number[]): Uint8Array => Buffer.from(JSON.stringify(spans))
const queueOf = (options: Partial<SpanQueueOptions<number>> & Pick<SpanQueueOptions<number>, 'post'>) =>
  createSpanQueue<number>({ serialize, everyMs: 1, ...options })

test('spans leave in order, many in one request, one request at a time', async () => {
  const bodies: number[][] = []
  let open = 0
  let most = 0
  const queue = queueOf({
    async post(body) {
      most = Math.max(most, ++open)
      await new Promise(setImmediate)
      bodies.push(JSON.parse(Buffer.from(body).toString()) as number[])
      open--
      return 200
    },
  })
  const spans = Array.from({ length: 2_000 }, (_, i) => i)
  for (const span of spans) queue.add(span)
  await until(() => queue.counts.sent === spans.length, 'all spans to be sent')
  assert.deepEqual(bodies.flat(), spans)
  assert.equal(most, 1)
  assert.ok(bodies.length <= 5, `${bodies.length} requests`)
  await queue.close()
})

test('so many wait and no more, whatever the collector does', async () => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const queue = queueOf({ post: () => promise })
  for (let i = 0; i < SPANS_MAX * 2; i++) queue.add(i)
  const { dropped } = queue.counts
  assert.ok(dropped >= SPANS_MAX - 512 && dropped <= SPANS_MAX, `${dropped} dropped`)
  resolve(200)
  await queue.close()
  assert.equal(queue.counts.sent + queue.counts.dropped, SPANS_MAX * 2)
})

test('what the collector does not take is counted, told once, and not sent again', async () => {
  const told: unknown[] = []
  const answers: (() => Promise<number>)[] = [
    async () => 429,
    () => Promise.reject(new Error('gone')),
    async () => 200,
    async () => {
      throw new Error('again')
    },
  ]
  const queue = queueOf({ post: () => answers.shift()!(), onChange: (trouble) => told.push(trouble && ('status' in trouble ? trouble.status : 'error')) })
  for (const [failed, sent] of [
    [1, 0],
    [2, 0],
    [2, 1],
    [3, 1],
  ]) {
    queue.add(1)
    await until(() => queue.counts.failed === failed && queue.counts.sent === sent, 'the span to be sent or not')
  }
  assert.deepEqual(told, [429, null, 'error'])
  await queue.close()
})

test('spans that cannot be written down cost nobody anything but themselves', async () => {
  const queue = createSpanQueue<number>({ serialize: () => undefined, post: async () => 200, everyMs: 1 })
  queue.add(1)
  await until(() => queue.counts.failed === 1, 'the span to fail')
  await queue.close()
})

test('closing sends what waits, and ends whether or not the collector answers', async () => {
  let sent = 0
  const prompt = queueOf({
    everyMs: 60_000,
    async post(body) {
      sent += (JSON.parse(Buffer.from(body).toString()) as number[]).length
      return 200
    },
  })
  for (let i = 0; i < 700; i++) prompt.add(i)
  await prompt.close()
  assert.equal(sent, 700)

  const silent = queueOf({ everyMs: 60_000, post: () => new Promise(() => {}) })
  for (let i = 0; i < 600; i++) silent.add(i)
  await silent.close(20)
  assert.equal(silent.counts.sent, 0)
  assert.equal(silent.counts.dropped, 600 - 512, 'those that were on their way are nobody’s to count')
})
