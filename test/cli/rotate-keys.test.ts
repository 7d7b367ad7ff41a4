import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ApiRefused, ApiUnreachable } from '../../src/cli/api.ts'
import { ROTATE_EXIT, ROTATE_USAGE, type RotateParts, type Rotation, rotateKeys } from '../../src/cli/rotate-keys.ts'
import { createSecretFile } from '../../src/cli/secret-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-rotate-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const NEW_KEY = 'the-new-master-key'
const rotated = (n: number) => ({ tenant_id: 't_1', prefix: `old${n}`, name: `k${n}`, successor: `new${n}`, api_key: `secret-of-new${n}` })
const rotation: Rotation = {
  rotateMaster: async () => ({ masterKey: 'm2', wrapped: 3, dataKeys: 3, lacking: 0, old: { m1: 3 }, tooOld: [] }),
  retireOld: async () => ({ masterKey: 'm2', dataKeys: 3, old: { m1: 3 }, refused: [] }),
  rotateDataKeys: async () => ({ made: 1, resealed: 2, unopened: 0, deleted: 0 }),
  close: async () => {},
}

async function run(args: readonly string[], parts: Partial<RotateParts> & { answers?: object[]; works?: Partial<Rotation> } = {}) {
  const ended = { code: 0, out: '', error: '', asked: [] as unknown[], opened: [] as (string | null)[], closed: 0 }
  const answers = [...(parts.answers ?? [])]
  const terminal = {
    read: async () => `${NEW_KEY}\n`,
    out: (text: string) => void (ended.out += text),
    error: (text: string) => void (ended.error += text),
  }
  ended.code = await rotateKeys(args, terminal, {
    isTerminal: false,
    createFile: createSecretFile,
    api: () => ({
      async ask(method, path, more) {
        ended.asked.push([method, path, more?.body])
        const answer = answers.shift()
        if (!answer) throw new ApiRefused(503, 'The database cannot be reached at the moment.', {})
        return answer
      },
    }),
    async open(newKey) {
      ended.opened.push(newKey)
      return { ...rotation, ...parts.works, close: async () => void ended.closed++ }
    },
    sentenceFor: (error) => (error as Error).message,
    ...parts,
  })
  return ended
}
const before = '2026-11-30T00:00:00.000Z'

test('new keys go to a file for its owner alone, all of them, and nowhere else', async () => {
  const file = join(dir, 'keys')
  const ended = await run(['--output', file, '--tenant-id', 't_1', '--revoke-after', '60'], {
    answers: [
      { rotated: [rotated(1), rotated(2)], remaining: 1, created_before: before },
      { rotated: [rotated(3)], remaining: 0, created_before: before },
    ],
  })
  assert.deepEqual([ended.code, ended.error], [0, ''])
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [rotated(1), rotated(2), rotated(3)],
  )
  assert.doesNotMatch(ended.out, /secret-of/)
  const body = { tenant_id: 't_1', revoke_old_after_seconds: 60, dry_run: false }
  assert.deepEqual(ended.asked, [
    ['POST', '/v1/ops/rotate-keys', body],
    ['POST', '/v1/ops/rotate-keys', { ...body, created_before: before }],
  ])
})

test('on a terminal they are shown once; where nobody reads, nothing is rotated', async () => {
  const answers = [{ rotated: [rotated(1)], remaining: 0, created_before: before }]
  const shown = await run([], { isTerminal: true, answers })
  assert.equal(shown.code, 0)
  assert.equal(shown.out.split('secret-of-new1').length, 2)
  const refused = await run([], { answers })
  assert.deepEqual([refused.code, refused.asked, refused.out], [1, [], ''])
  assert.match(refused.error, /--output FILE. Nothing was rotated/)
})

test('where the file cannot be made, nothing is rotated: one that is there, a link, a folder, no folder', async () => {
  writeFileSync(join(dir, 'there'), 'mine')
  symlinkSync(join(dir, 'elsewhere'), join(dir, 'link'))
  for (const name of ['there', 'link', '.', 'none/keys']) {
    const { code, asked, error } = await run(['--output', join(dir, name)])
    assert.deepEqual([code, asked], [1, []], name)
    assert.match(error, /cannot be made: .*\. Nothing was rotated\.\n$/)
  }
  assert.equal(readFileSync(join(dir, 'there'), 'utf8'), 'mine')
})

test('what was rotated before the API failed is in the file; of nothing there is no file', async () => {
  const some = join(dir, 'some')
  const ended = await run(['--output', some], { answers: [{ rotated: [rotated(1)], remaining: 1, created_before: before }] })
  assert.equal(ended.code, 1)
  assert.match(ended.error, /^1 keys were rotated, and the new ones are in .*some\. Up to 1000 more keys may have been rotated/)
  assert.deepEqual(JSON.parse(readFileSync(some, 'utf8')), rotated(1))
  const none = join(dir, 'none')
  assert.equal((await run(['--output', none])).code, 1)
  assert.throws(() => statSync(none), /ENOENT/)
})

test('where the answer is lost, it is said that keys may have been rotated, and what to do; where it is known that none was, it is not', async () => {
  const failing = (error: Error) => ({ isTerminal: true, api: () => ({ ask: () => Promise.reject(error) }) })
  const lost = await run(['--revoke-after', '60'], failing(new ApiUnreachable('no answer came')))
  assert.equal(lost.code, 1)
  assert.match(
    lost.error,
    /^Up to 1000 more keys may have been rotated.*`successor` is set\. Run it again before their old ones end, 60 s from now.*\nno answer came\n$/,
  )
  assert.match((await run(['--revoke-after', '0'], failing(new Error('no JSON')))).error, /Their old ones are revoked: run it again now/)
  for (const args of [['--dry-run'], []]) {
    const error = args.length > 0 ? new ApiUnreachable('no answer came') : new ApiRefused(403, 'no', {})
    assert.equal((await run(args, failing(error))).error, `${error.message}\n`)
  }
})

test('where others took what was to be rotated, it is asked once more, and what is left is told', async () => {
  const none = { rotated: [], remaining: 2, created_before: before }
  const answers = [none, { rotated: [rotated(1)], remaining: 0, created_before: before }]
  const again = await run([], { isTerminal: true, answers })
  assert.deepEqual([again.code, again.asked.length, again.error], [0, 2, ''])
  const left = await run([], { isTerminal: true, answers: [none, none, none] })
  assert.deepEqual([left.code, left.asked.length, left.out], [1, 2, ''])
  assert.match(left.error, /^2 keys were not rotated.* Run it again\.\n$/)
})

test('a dry run needs nobody to read it and asks once', async () => {
  const { api_key: _, ...key } = { ...rotated(1), successor: null }
  const ended = await run(['--dry-run'], { answers: [{ rotated: [key], remaining: 4, created_before: before }] })
  assert.equal(ended.code, 0)
  assert.match(ended.out, /5 keys would be rotated; nothing was changed/)
  assert.equal(ended.asked.length, 1)
})

test('a new master key is read from a file, standard input or the command, is never shown, and what comes next is', async () => {
  for (const [args, key] of [
    [['--new-key-file', 'f'], `${NEW_KEY}\n`],
    [['--new-key-file', '-'], `${NEW_KEY}\n`],
    [['--new-key', NEW_KEY], NEW_KEY],
  ] as const) {
    const ended = await run(['--rotate-master', ...args])
    assert.deepEqual([ended.code, ended.opened, ended.closed, ended.error], [0, [key], 1, ''])
    assert.doesNotMatch(ended.out, new RegExp(NEW_KEY))
    assert.match(ended.out, /NEW,OLD[\s\S]*--retire-old[\s\S]*NEW alone[\s\S]*destroy it/)
  }
  const halfway = await run(['--rotate-master', '--new-key', NEW_KEY], {
    works: { rotateMaster: async () => ({ masterKey: 'm2', wrapped: 2, dataKeys: 3, lacking: 1, old: {}, tooOld: [] }) },
  })
  assert.equal(halfway.code, 1)
  const beside = await run(['--rotate-master', '--new-key', NEW_KEY], {
    works: { rotateMaster: async () => ({ masterKey: 'm2', wrapped: 3, dataKeys: 3, lacking: 0, old: {}, tooOld: ['Process p is of an older version.'] }) },
  })
  assert.deepEqual([beside.code, beside.error], [1, 'Process p is of an older version.\nThen run it again: it says what comes next.\n'])
  assert.doesNotMatch(beside.out, /Next/)
})

test('a retirement that is refused says why, and so does its exit code', async () => {
  assert.deepEqual([(await run(['--retire-old'])).code, (await run(['--retire-old', '--dry-run'])).code], [0, 0])
  const ended = await run(['--retire-old'], {
    works: { retireOld: async () => ({ masterKey: 'm2', dataKeys: 3, old: {}, refused: ['Process p is not ready.'] }) },
  })
  assert.deepEqual([ended.code, ended.error], [1, 'Process p is not ready.\nNothing was retired.\n'])
  assert.deepEqual(ended.opened, [null])
})

test('secrets that cannot be opened make the scheduled job fail aloud', async () => {
  assert.equal((await run(['--data-keys'])).code, 0)
  const ended = await run(['--data-keys'], { works: { rotateDataKeys: async () => ({ made: 0, resealed: 0, unopened: 2, deleted: 0 }) } })
  assert.equal(ended.code, 1)
  assert.match(ended.error, /2 stored secrets cannot be opened/)
})

test('arguments that make no sense change nothing and end with 2', async () => {
  const wrong = [
    '--unknown',
    'extra',
    '--output=',
    '--dry-run --output x',
    '--tenant-id acme',
    '--revoke-after soon',
    '--revoke-after=-1',
    '--revoke-after 604801',
    '--rotate-master',
    '--rotate-master --new-key a --new-key-file b',
    '--rotate-master --new-key=',
    '--rotate-master --retire-old --new-key a',
    '--rotate-master --new-key a --tenant-id t_1',
    '--new-key a',
    '--retire-old --new-key a',
    '--retire-old --output x',
    '--data-keys --revoke-after 5',
    '--data-keys --retire-old',
  ]
  for (const args of wrong) {
    const ended = await run(args.split(' '), { isTerminal: true })
    assert.deepEqual([ended.code, ended.error, ended.asked, ended.opened], [ROTATE_EXIT.usage, ROTATE_USAGE, [], []], args)
  }
  const help = await run(['--help'])
  assert.deepEqual([help.code, help.out], [0, ROTATE_USAGE])
})
