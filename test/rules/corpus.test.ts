/**
 * What people and agents send all day is not taken for what must not leave: real files and written texts, of which hardly any may be found to hold what
 * they do not. What a file truly holds stands in labels.json, by its path: made by looking at every finding.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Failure } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { detectors } from '../../src/rules/detectors.ts'
import { leavesOf } from '../../src/rules/leaves.ts'
import type { Finding } from '../../src/rules/policy.ts'
import { rulesOf } from '../../src/rules/presets.ts'
import type { Rule } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { type CorpusText, fileTexts } from './corpus/files.ts'
import { writtenTexts } from './corpus/written.ts'
import { ask, rule } from './subject.ts'

const TEXTS_MIN = 1000
/** Of all texts, so many may be flagged for what they do not hold. */
const FALSE_RATE_MAX = 0.001
const AROUND_BYTES = 40
/** Stands for a rule where judging a text comes to no end. */
const REFUSED = 'refused unread'

/** Every detector in a rule of its own, and the rules of three presets that read texts, as far as they ask for more. */
const asked: readonly Rule[] = [
  ...detectors.map(({ name }) => rule({ operator: 'detects', value: name }, 'WARN', { id: name, name })),
  ...[...new Map(['secrets', 'prompt_injection', 'coding_agents'].flatMap(rulesOf).map((draft) => [draft.name, draft])).values()]
    .filter(({ condition }) => leavesOf(condition).every(({ leaf }) => leaf.target !== 'tool_arguments'))
    .map((draft) => ({ ...draft, action: 'WARN' as const, id: `preset: ${draft.name}` })),
]
const policy = compile(1, asked)

/** By the name of a text, the rules that are right about it. */
const labels = JSON.parse(readFileSync('test/rules/corpus/labels.json', 'utf8')) as Readonly<Record<string, readonly string[]>>

/** Top-level domains of the addresses in the files. One that is also the ending of a file's name is none of these. */
const ADDRESS =
  /^[\w.%+'-]+@(?:[a-z0-9-]*[a-z][a-z0-9-]*\.)+(?:com|org|net|io|edu|gov|info|dev|me|co|de|fr|uk|cn|jp|ru|ai|app|pizza|moe|ist|fm|it|ch|nl|se|dk|eu)$/i
/** Below it the first of four numbers may as well be that of a section or of an object identifier: those need a look. */
const SECTION_MAX = 10
/** What can be told without looking, by means that share nothing with the detectors. It is believed of files, not of texts that were written to hold none. */
const isPlainlyThere: Readonly<Record<string, (found: string) => boolean>> = {
  email: (found) => ADDRESS.test(found),
  ip_address: (found) => isIP(found) === 6 || (isIP(found) === 4 && (found === '0.0.0.0' || Number(found.split('.', 1)) >= SECTION_MAX)),
}

interface Found {
  text: string
  rule: string
  at: number
  around: string
  isTrue: boolean
}

function findIn({ name, text }: CorpusText, isFile: boolean): Found[] {
  const subject = ask(text)
  const { call } = subject
  const findings = findingsOf(subject)
  if (typeof findings === 'string') return [{ text: name, rule: REFUSED, at: 0, around: findings, isTrue: false }]
  const { from, to } = call.slots.find(({ role }) => role === 'user') ?? assert.fail('no text')
  const told = new Set(labels[name.replace(/ from \d+$/, '')])
  return findings.flatMap(({ rule: { id }, spans }) =>
    spans.map(({ start, end }) => {
      const found = call.text.toString('utf8', start, end)
      return {
        text: name,
        rule: id,
        at: start - from,
        around: JSON.stringify(
          `${call.text.toString('utf8', Math.max(from, start - AROUND_BYTES), start)}«${found}»${call.text.toString('utf8', end, Math.min(to, end + AROUND_BYTES))}`,
        ),
        isTrue: told.has(id) || (isFile && (isPlainlyThere[id]?.(found) ?? false)),
      }
    }),
  )
}

/** What was found; in words, why the text would be refused unread. */
function findingsOf(subject: Subject): readonly Finding[] | string {
  try {
    return policy.judge(subject).findings
  } catch (error) {
    if (error instanceof Failure) return `${error.reason}: ${String(error.cause)}`
    throw error
  }
}

/** Says how many texts each rule flags, and how many of them wrongly, whether the test fails or not; and each wrong finding. */
function report(context: TestContext, found: readonly Found[], texts: number): void {
  const wrong = found.filter(({ isTrue }) => !isTrue)
  const textsOf = (some: readonly Found[]): number => new Set(some.map(({ text }) => text)).size
  for (const id of [...asked.map((one) => one.id), REFUSED]) {
    const own = found.filter((one) => one.rule === id)
    context.diagnostic(`${id}: flags ${textsOf(own)} of ${texts} texts, ${textsOf(own.filter(({ isTrue }) => !isTrue))} of them wrongly`)
  }
  for (const { text, rule: id, at, around } of wrong) context.diagnostic(`${id} in ${text} at ${at}: ${around}`)
}

const files = fileTexts()
const written = writtenTexts()
const all = [...files.map((one) => findIn(one, true)), ...written.map((one) => findIn(one, false))].flat()

test('the corpus has a thousand files and a thousand written texts, and every one under a name of its own', () => {
  assert.ok(new Set(files.map(({ text }) => text)).size >= TEXTS_MIN, String(files.length))
  assert.ok(new Set(written.map(({ text }) => text)).size >= TEXTS_MIN, String(written.length))
  const names = [...files, ...written].map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
})

test('of a thousand texts at most one is flagged for what it does not hold, by all detectors and presets together', (context) => {
  const texts = files.length + written.length
  report(context, all, texts)
  const wrong = all.filter(({ isTrue }) => !isTrue)
  const flagged = new Set(wrong.map(({ text }) => text)).size
  assert.ok(flagged <= texts * FALSE_RATE_MAX, wrong.map(({ text, rule: id, at, around }) => `${id} in ${text} at ${at}: ${around}`).join('\n'))
})

test('every label names a text of the corpus and a rule that finds something in it', () => {
  const needed = new Set(all.map(({ text, rule: id }) => `${text.replace(/ from \d+$/, '')} ${id}`))
  const stale = Object.entries(labels).flatMap(([text, rules]) => rules.filter((id) => !needed.has(`${text} ${id}`)).map((id) => `${text}: ${id}`))
  assert.deepEqual(stale, [])
})
