import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connectRedis, type RedisConnection, scriptOf } from '../../src/db/redis.ts'
import { startRelay } from './relay.ts'

const url = process.env.TEST_REDIS_URL
const GIVE_UP_MS = 60_000

test('an address that is none is refused without being quoted', async () => {
  for (const bad of ['redis://:hunter2@[', 'hunter2', 'http://:hunter2@localhost']) {
    await assert.rejects(
      connectRedis({ url: bad, onChange: () => {} }),
      (error) => !String(error).includes('hunter2') && !JSON.stringify(error).includes('hunter2'),
    )
  }
})

test('nobody listening is told once, and commands are refused at once', async (t) => {
  const { redis, changes } = await connect(t, 'redis://:hunter2@127.0.0.1:1')
  assert.equal(redis.isReady, false)
  await assert.rejects(redis.send(['PING']))
  await delay(300)
  assert.deepEqual(changes, [{ isReady: false, reason: 'ECONNREFUSED' }])
})

describe('with a Redis', { skip: url ? false : 'TEST_REDIS_URL is not set' }, () => {
  test('a wrong password is told as what it is, without the password', async (t) => {
    const wrong = new URL(url!)
    wrong.password = 'hunter2'
    const { redis, changes } = await connect(t, wrong.href)
    assert.equal(redis.isReady, false)
    assert.deepEqual(changes, [{ isReady: false, reason: 'WRONGPASS' }])
  })

  test('a script is loaded where it is not known, and its errors are its own', async (t) => {
    const { redis } = await connect(t, url!)
    const script = scriptOf(`return { KEYS[1], ARGV[1], '${Math.random()}' }`)
    for (let i = 0; i < 2; i++) assert.deepEqual(((await redis.run(script, ['key'], ['argument'])) as string[]).slice(0, 2), ['key', 'argument'])
    await assert.rejects(redis.run(scriptOf('error("broken")'), [], []), /broken/)
  })

  test('a lost connection rejects what was under way, and comes back by itself; both are told once', async (t) => {
    const relay = await startRelay(url!)
    const { redis, changes } = await connect(t, relay.url)
    t.after(() => relay.close())
    relay.freeze()
    const asked = assert.rejects(redis.send(['PING']))
    await relay.cut()
    await asked
    await delay(300)
    assert.equal(redis.isReady, false)
    await assert.rejects(redis.send(['PING']))
    relay.thaw()
    await relay.restore()
    await until(() => redis.isReady)
    assert.equal(await redis.send(['PING']), 'PONG')
    assert.deepEqual(
      changes.map(({ isReady }) => isReady),
      [true, false, true],
    )
  })

  test('a connection that hangs is replaced, whatever is written to it', async (t) => {
    const relay = await startRelay(url!)
    t.after(() => relay.close())
    const { redis, changes } = await connect(t, relay.url)
    relay.freeze()
    const asked = assert.rejects(redis.send(['PING']))
    await until(() => relay.connections > 1)
    await asked
    relay.thaw()
    await until(() => redis.isReady)
    assert.equal(changes[1]?.reason, 'SocketTimeoutError')
  })

  test('more commands than can wait are refused, the others answered', async (t) => {
    const { redis } = await connect(t, url!)
    const answers = await Promise.allSettled(Array.from({ length: 10_100 }, () => redis.send(['PING'])))
    assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 10_000)
  })

  test('closing ends what is under way, and may be done twice', async (t) => {
    const { redis } = await connect(t, url!)
    const asked = assert.rejects(redis.send(['BLPOP', 'ef:nothing', '60']))
    redis.close()
    await asked
    redis.close()
    await assert.rejects(redis.send(['PING']))
  })
})

async function connect(t: TestContext, to: string): Promise<{ redis: RedisConnection; changes: { isReady: boolean; reason: string | null }[] }> {
  const changes: { isReady: boolean; reason: string | null }[] = []
  const redis = await connectRedis({ url: to, onChange: (change) => changes.push(change) })
  t.after(() => redis.close())
  return { redis, changes }
}

/** Waits for what happens in the background. */
async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + GIVE_UP_MS
  while (!holds()) {
    assert.ok(Date.now() < giveUpAt, `still waiting for: ${holds}`)
    await delay(20)
  }
}
