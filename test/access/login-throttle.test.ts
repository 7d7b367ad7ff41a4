import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createLoginThrottle, type LoginThrottle } from '../../src/access/login-throttle.ts'
import { connectRedis, type RedisConnection } from '../../src/db/redis.ts'
import { Refusal } from '../../src/errors.ts'

const redisUrl = process.env.TEST_REDIS_URL
const required = process.env.EARTHFLOW_TEST_RUN !== undefined

let counted = 0
/** Nobody else's. */
const newEmail = (): string => `somebody-${process.pid}-${counted++}@example.com`
const newAddress = (): string => `2001:db8:${(process.pid % 65_536).toString(16)}:${(counted++).toString(16)}::1`

const isLimited = (error: unknown): boolean =>
  error instanceof Refusal &&
  error.reason === 'rate_limited' &&
  error.headers[0] === 'retry-after' &&
  error.context.retry_after_seconds === Number(error.headers[1]) &&
  Number(error.headers[1]) > 0 &&
  Number(error.headers[1]) <= 900

const DAY_MS = 24 * 3_600_000

function guarantees(redis: () => RedisConnection | null): void {
  const clock = { now: Date.now() }
  const open = (): LoginThrottle => createLoginThrottle({ redis: redis(), now: () => clock.now })
  const isOk = ({ status }: PromiseSettledResult<unknown>): boolean => status === 'fulfilled'
  /** Of so many attempts, made one after the other and not taken back, how many are not refused. */
  const allowed = async (attempts: number, take: () => Promise<unknown>): Promise<number> => {
    let count = 0
    for (let i = 0; i < attempts; i++) {
      await take().then(
        () => count++,
        (error) => assert.ok(isLimited(error), String(error)),
      )
    }
    return count
  }

  test('five failures of one address about one person, and the sixth attempt is refused; another address is not', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    for (let i = 0; i < 5; i++) await throttle.take(email, address)
    await assert.rejects(throttle.take(email.toUpperCase(), address), isLimited)
    await throttle.take(email, newAddress())
    await throttle.take(newEmail(), address)
  })

  test('many attempts at once are not one', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    const all = await Promise.allSettled(Array.from({ length: 30 }, () => throttle.take(email, address)))
    assert.equal(all.filter(isOk).length, 5)
  })

  test('twenty failures about one person from anywhere, and whoever comes from somewhere new waits', async () => {
    const throttle = open()
    const email = newEmail()
    for (let i = 0; i < 20; i++) await throttle.take(email, newAddress())
    await assert.rejects(throttle.take(email, newAddress()), isLimited)
  })

  test('fifty failures of one address about anybody, and it waits; its whole /64 is one address', async () => {
    const throttle = open()
    const address = newAddress()
    for (let i = 0; i < 50; i++) await throttle.take(newEmail(), address.replace(/::1$/, `::${i + 1}`))
    await assert.rejects(throttle.take(newEmail(), address.replace(/::1$/, ':1:2:3:4')), isLimited)
  })

  test('attempts that were refused for the pair use up nothing of the person', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    for (let i = 0; i < 40; i++) await throttle.take(email, address).catch(() => {})
    for (let i = 0; i < 15; i++) await throttle.take(email, newAddress())
    await assert.rejects(throttle.take(email, newAddress()), isLimited)
  })

  test('an attempt that was refused for the person is not counted for its address, nor for the pair', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    const strangers = await Promise.all(Array.from({ length: 20 }, () => throttle.take(email, newAddress())))
    assert.equal(await allowed(60, () => throttle.take(email, address)), 0)
    assert.equal(await allowed(46, () => throttle.take(newEmail(), address)), 46)
    for (const attempt of strangers) await attempt.undo()
    assert.equal(await allowed(4, () => throttle.take(email, address)), 4, 'what is left of the fifty')
    assert.equal(await allowed(1, () => throttle.take(newEmail(), address)), 0)
    assert.equal(await allowed(30, () => throttle.take(email, newAddress())), 16, 'what is left of the twenty')
  })

  test('an attempt that was refused for its address is counted neither for the pair nor for the person', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    const others = await Promise.all(Array.from({ length: 50 }, () => throttle.take(newEmail(), address)))
    assert.equal(await allowed(30, () => throttle.take(email, address)), 0)
    for (const attempt of others) await attempt.undo()
    assert.equal(await allowed(10, () => throttle.take(email, address)), 5)
    assert.equal(await allowed(30, () => throttle.take(email, newAddress())), 15)
  })

  test('forty right logins at once, of one person or from one address, lock nobody out afterwards', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    const succeed = async (email: string, address: string) => (await throttle.take(email, address)).succeeded()
    const together = (take: (i: number) => Promise<void>) => Promise.allSettled(Array.from({ length: 40 }, (_, i) => take(i)))
    const emails = Array.from({ length: 40 }, newEmail)
    await together(() => succeed(email, address))
    await together(() => succeed(email, newAddress()))
    assert.ok((await together((i) => succeed(emails[i]!, address))).every(isOk))
    assert.ok((await together((i) => succeed(emails[i]!, address))).every(isOk))
    assert.equal(await allowed(10, () => throttle.take(email, address)), 5)
    assert.equal(await allowed(60, () => throttle.take(newEmail(), address)), 45)
    assert.equal(await allowed(30, () => throttle.take(email, newAddress())), 20)
  })

  test('strangers lock nobody out where they have logged in within thirty days; the bounds of that place stay', async () => {
    const throttle = open()
    const [email, home] = [newEmail(), newAddress()]
    await (await throttle.take(email, home)).succeeded()
    assert.equal(await allowed(30, () => throttle.take(email, newAddress())), 20)
    for (let i = 0; i < 8; i++) await (await throttle.take(email.toUpperCase(), home.replace(/::1$/, `::${i + 2}`))).succeeded()
    await assert.rejects(throttle.take(email, newAddress()), isLimited, 'strangers still wait')
    await assert.rejects(throttle.take(email, newAddress()), isLimited)
    assert.equal(await allowed(10, () => throttle.take(email, home)), 5, 'the pair')
    await (await throttle.take(newEmail(), home)).succeeded()
    assert.equal(await allowed(60, () => throttle.take(newEmail(), home)), 45, 'the address')
    await assert.rejects(throttle.take(email, home), isLimited)
  })

  test('a login that failed, or of which nobody knows, makes no place familiar', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    await throttle.take(email, address)
    await (await throttle.take(email, address)).undo()
    await (await throttle.take(newEmail(), address)).succeeded()
    assert.equal(await allowed(30, () => throttle.take(email, newAddress())), 19)
    await assert.rejects(throttle.take(email, address), isLimited)
  })

  test('a success forgives the pair, and what could not be told is not counted at all', async () => {
    const throttle = open()
    const [email, address] = [newEmail(), newAddress()]
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 4; i++) await (await throttle.take(email, address)).undo()
      await (await throttle.take(email, address)).succeeded()
    }
    for (let i = 0; i < 4; i++) await throttle.take(email, address)
    await (await throttle.take(email, address)).succeeded()
    for (let i = 0; i < 5; i++) await throttle.take(email, address)
    await assert.rejects(throttle.take(email, address), isLimited)
  })
}

test('counted by one process', async (t) => {
  await t.test('as promised', () => guarantees(() => null))

  await t.test('a place is familiar for thirty days after the last login there', async () => {
    const clock = { now: Date.now() }
    const throttle = createLoginThrottle({ redis: null, now: () => clock.now })
    const [email, home] = [newEmail(), newAddress()]
    await (await throttle.take(email, home)).succeeded()
    for (let i = 0; i < 20; i++) await throttle.take(email, newAddress())
    clock.now += 30 * DAY_MS - 1
    await (await throttle.take(email, home)).succeeded()
    clock.now += 30 * DAY_MS - 1
    await (await throttle.take(email, home)).undo()
    clock.now += 1
    await assert.rejects(throttle.take(email, home), isLimited)
  })
})

test('counted in Redis', { skip: redisUrl || required ? false : 'TEST_REDIS_URL is not set' }, async (t) => {
  let redis: RedisConnection
  before(async () => {
    redis = await connectRedis({ url: redisUrl!, onChange: () => {} })
  })
  after(() => redis.close())
  const now = Date.now
  /** Redis, until it is taken away. */
  const state = { isAway: false }
  const gone = () => Promise.reject(new Error('away'))
  const flaky = (): Pick<RedisConnection, 'run' | 'send'> => ({
    run: (...asked) => (state.isAway ? gone() : redis.run(...asked)),
    send: (...asked) => (state.isAway ? gone() : redis.send(...asked)),
  })

  await t.test('as promised', () => guarantees(() => redis))

  await t.test('two processes count together and know the same places, and no address can be read there', async () => {
    const [one, two] = [createLoginThrottle({ redis, now }), createLoginThrottle({ redis, now })]
    const [email, address, home] = [newEmail(), newAddress(), newAddress()]
    await (await one.take(email, home)).succeeded()
    for (let i = 0; i < 5; i++) await (i % 2 ? one : two).take(email, address)
    await assert.rejects(one.take(email, address), isLimited)
    await assert.rejects(two.take(email, address), isLimited)
    for (let i = 0; i < 15; i++) await one.take(email, newAddress())
    await assert.rejects(two.take(email, newAddress()), isLimited)
    await two.take(email, home)
    const keys = (await redis.send(['KEYS', 'ef_login_*'])) as string[]
    for (const kind of ['pair', 'address', 'email', 'familiar']) assert.ok(keys.some((key) => key.startsWith(`ef_login_${kind}:`)))
    assert.doesNotMatch(keys.join('\n'), /@|somebody|2001:/)
    for (const key of keys) {
      const left = Number(await redis.send(['PTTL', key]))
      assert.ok(left > 0 && left <= (key.startsWith('ef_login_familiar:') ? 30 * DAY_MS : 900_000), 'each ends by itself')
      assert.ok(Number(await redis.send(['GET', key])) >= 0, 'none is below none')
    }
  })

  await t.test('without Redis this process counts by itself, and knows who has logged in here', async () => {
    const away = createLoginThrottle({ redis: { run: gone, send: gone }, now })
    const [email, address] = [newEmail(), newAddress()]
    for (let i = 0; i < 4; i++) await away.take(email, address)
    await (await away.take(email, address)).succeeded()
    for (let i = 0; i < 16; i++) await away.take(email, newAddress())
    await assert.rejects(away.take(email, newAddress()), isLimited)
    for (let i = 0; i < 5; i++) await away.take(email, address)
    await assert.rejects(away.take(email, address), isLimited)
  })

  for (const end of ['undo', 'succeeded'] as const) {
    await t.test(`Redis that goes away before ${end} makes nobody's count less than nothing`, async () => {
      const throttle = createLoginThrottle({ redis: flaky(), now })
      const [email, address] = [newEmail(), newAddress()]
      const attempts = await Promise.all(Array.from({ length: 4 }, () => throttle.take(email, address)))
      state.isAway = true
      for (const attempt of attempts) await attempt[end]()
      for (let i = 0; i < 5; i++) await throttle.take(email, address)
      await assert.rejects(throttle.take(email, address), isLimited)
      state.isAway = false
    })
  }

  await t.test('what was counted while Redis was away is not taken from what others counted there', async () => {
    const throttle = createLoginThrottle({ redis: flaky(), now })
    const [email, address] = [newEmail(), newAddress()]
    for (let i = 0; i < 3; i++) await throttle.take(email, address)
    state.isAway = true
    const attempts = await Promise.all(Array.from({ length: 3 }, () => throttle.take(email, address)))
    state.isAway = false
    for (const attempt of attempts) await attempt.undo()
    for (let i = 0; i < 2; i++) await throttle.take(email, address)
    await assert.rejects(throttle.take(email, address), isLimited)
  })

  await t.test('what was forgiven meanwhile is not given back once more', async () => {
    const throttle = createLoginThrottle({ redis, now })
    const [email, address] = [newEmail(), newAddress()]
    const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => throttle.take(email, address)))
    await first!.succeeded()
    for (const attempt of others) await attempt.undo()
    for (let i = 0; i < 5; i++) await throttle.take(email, address)
    await assert.rejects(throttle.take(email, address), isLimited)
  })
})
