/** What waits in a judged stream: how little, how long at most, how it is measured, and what may leave before it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { geminiGenerate } from '../../src/dialects/gemini/gemini-generate.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiResponses } from '../../src/dialects/openai/openai-responses.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Watch } from '../../src/rules/matching/match.ts'
import { createReversible } from '../../src/rules/placeholder.ts'
import { type Judgement, noWatch } from '../../src/rules/replies/judgement.ts'
import { screenFor } from '../../src/rules/replies/screen.ts'
import { HELD_MS_MAX } from '../../src/rules/replies/stream-screen.ts'
import { StreamedText } from '../../src/rules/replies/streamed-text.ts'
import { TURN_BYTES } from '../../src/rules/replies/turns.ts'
import type { Rule } from '../../src/rules/rule.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { answer, CARD, card, inReply, openai, rules, run, SSE, unreadable } from './screened.ts'
import { ask, rule } from './subject.ts'

/** A stream through a screen whose clock stands still until it is set forward. */
function stream(dialect: Dialect, policyRules: readonly Rule[] = rules, originals: Parameters<typeof screenFor>[2]['originals'] = null) {
  let now = 1000
  const subject = ask('hi')
  const { tenant } = subject.caller
  const screen = screenFor(compile(1, policyRules).judge(subject), dialect, { tenant, originals, now: () => now }) ?? assert.fail('no screen')
  const written: string[] = []
  const sink = screen.wrap({ head() {}, data: (chunk) => written.push(chunk.toString()) > 0, end() {}, error() {} })
  sink.head(200, [...SSE])
  return {
    written,
    say(...chunks: string[]) {
      for (const chunk of chunks) sink.data(Buffer.from(chunk))
      return written.length
    },
    pass: (ms: number) => void (now += ms),
    end: () => sink.end(),
    breakOff: () => sink.error(),
    held: () => screen.held(),
    counts: () => screen.findings().map((finding) => [finding.rule.id, finding.count]),
  }
}
const chat = (delta: object): string => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`
const calling = (args: string, name?: string): string => chat({ tool_calls: [{ index: 0, ...(name ? { id: 'c' } : {}), function: { name, arguments: args } }] })
const thinking = (reasoning_content: string): string => chat({ reasoning_content })
const gemini = (...parts: object[]): string => `data: ${JSON.stringify({ candidates: [{ content: { parts, role: 'model' }, index: 0 }] })}\n\n`
const CALL = { functionCall: { name: 'write', args: { path: 'a' } } }
const OPENING = chat({ role: 'assistant' })
const ENDING = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`
const COMMENT = ': still here\n\n'

describe('measured', () => {
  test('a stream of which nothing waits, because its events came together with what decides them, has held nothing back', () => {
    const { say, pass, end, held } = stream(openaiChat)
    say(OPENING)
    pass(50)
    say(openai.text('Hello. ') + openai.text('It is 4111') + ENDING)
    end()
    assert.deepEqual(held(), { characters: 0, ms: 0 })
  })

  test('the text that waits is counted in characters, whatever they take, and the longest wait in milliseconds', () => {
    const { say, pass, end, held } = stream(openaiChat)
    say(openai.text('é 4111'))
    assert.deepEqual(held(), { characters: 6, ms: 0 })
    pass(70)
    say(openai.text(' 1111'))
    assert.deepEqual(held(), { characters: 11, ms: 70 })
    pass(30)
    say(ENDING)
    assert.deepEqual(held(), { characters: 11, ms: 100 }, 'all of it left, and what came last did not wait')
    say(openai.text('4'))
    pass(20)
    end()
    assert.deepEqual(held(), { characters: 11, ms: 100 }, 'a shorter wait changes nothing')
  })

  test('what a rule about the whole reply holds is held to the end', () => {
    const { say, pass, end, held } = stream(openaiChat, [rule(inReply('source', { operator: 'not_contains' }))])
    say(openai.text('source: '))
    pass(HELD_MS_MAX * 2)
    say(openai.text('none'), openai.end)
    end()
    assert.deepEqual(held(), { characters: 12, ms: HELD_MS_MAX * 2 })
  })

  test('a reply in one piece and one that nobody judges are no streams that are held', () => {
    const { tenant } = ask('hi').caller
    const screen = screenFor(compile(1, rules).judge(ask('hi')), openaiChat, { tenant }) ?? assert.fail('no screen')
    const sink = screen.wrap({ head() {}, data: () => true, end() {}, error() {} })
    assert.equal(screen.held(), null)
    sink.head(200, ['content-type', 'application/json'])
    sink.data(Buffer.from('{}'))
    sink.end()
    assert.equal(screen.held(), null)
  })

  test('the histograms have one observation of each judged stream, 0 where nothing waited, and none of other replies', async () => {
    const metrics = createMetrics({ now: () => 0 })
    const call = { tenant: 't', status: 'ALLOW', dialect: 'd', upstream: 'u', judged: true, httpStatus: 200, violations: [], overheadMs: 1 }
    const ended = { ...call, firstByteMs: 1, upstreamMs: 1, inputTokens: 0, outputTokens: 0 }
    for (const held of [null, { characters: 0, ms: 0 }, { characters: 20, ms: 300 }]) metrics.ended({ ...ended, held })
    const page = await metrics.text()
    for (const line of ['characters_bucket{le="0"} 1', 'characters_bucket{le="16"} 1', 'characters_bucket{le="64"} 2', 'characters_count 2'])
      assert.ok(page.includes(`earthflow_held_${line}`), line)
    for (const line of ['ms_bucket{le="0"} 1', 'ms_bucket{le="250"} 1', 'ms_bucket{le="500"} 2', 'ms_sum 300'])
      assert.ok(page.includes(`earthflow_held_${line}`), line)
  })
})

describe('bounded', () => {
  test('an event that was not decided within the bound stops the stream once more comes, and does not leave', () => {
    const { say, pass, written, breakOff } = stream(openaiChat)
    say(OPENING, openai.text('4111'))
    pass(HELD_MS_MAX)
    say(openai.text(' 1'))
    pass(1)
    assert.throws(() => say(openai.text('11')), unreadable)
    breakOff()
    assert.deepEqual(written, [OPENING])
  })

  test('what is decided by what comes after the bound has waited long, and leaves', () => {
    const { say, pass, written } = stream(openaiChat)
    say(openai.text('4111'))
    pass(HELD_MS_MAX * 2)
    say(ENDING)
    assert.equal(written.join(''), openai.text('4111') + ENDING)
  })

  test('where values are only put back, the bound lets everything pass as it is', () => {
    const { placeholderOf, originals } = createReversible(Buffer.alloc(32, 7))
    const placeholder = placeholderOf('[SSN]', '536-90-4399')
    const { say, pass, written } = stream(openaiChat, [], originals)
    say(openai.text(placeholder.slice(0, 6)))
    pass(HELD_MS_MAX + 1)
    say(COMMENT, openai.text(placeholder.slice(6)))
    assert.equal(written.join(''), openai.text(placeholder.slice(0, 6)) + COMMENT + openai.text(placeholder.slice(6)))
  })
})

describe('a text of another kind', () => {
  const sentence = 'Let me write the pro' // may go on as a phrase that is cut

  test('the first call of a tool lets go of the text before it, and leaves with it, though its arguments have not begun', () => {
    const { say } = stream(openaiChat)
    assert.equal(say(openai.text(sentence)), 0)
    assert.equal(say(calling('', 'write')), 2)
  })

  test('an answer lets go of the thoughts before it, and a call of the answer', () => {
    const { say, written } = stream(openaiChat)
    const [thought, answered] = [thinking('about 4111'), openai.text(sentence)]
    assert.equal(say(thought), 0)
    say(answered)
    assert.deepEqual(written, [thought])
    say(calling('{'))
    assert.deepEqual(written.slice(0, 2), [thought, answered])
  })

  test('a function that Gemini tells whole lets go of the text before it', () => {
    const { say } = stream(geminiGenerate)
    assert.equal(say(gemini({ text: sentence })), 0)
    assert.equal(say(gemini(CALL)), 2)
  })

  test('what the text holds at its end is cut before it leaves', () => {
    for (const [dialect, text, call] of [
      [openaiChat, openai.text(`Card ${CARD}`), calling('{')],
      [geminiGenerate, gemini({ text: `Card ${CARD}` }), gemini(CALL)],
    ] as const) {
      const { say, written } = stream(dialect)
      say(text, call)
      assert.equal(written[0], text.replace(CARD, '[CREDIT_CARD]'))
    }
  })

  test('events in which two kinds stand side by side end neither, and a secret in either is cut', () => {
    const both = (reasoning: string, content: string): string => chat({ reasoning, content })
    const { output } = run(openaiChat, [both('4111 1111', 'proj'), both(' 1111 1111', 'ect osprey'), both('.', '.'), openai.end])
    assert.equal(output, [both('[CREDIT_CARD]', '[REDACTED]'), both('', ''), both('.', '.'), openai.end].join(''))
  })

  test('two texts of one kind side by side, such as reasoning and its details, end neither', () => {
    const both = (text: string): string => chat({ reasoning: text, reasoning_details: [{ type: 'reasoning.text', text }] })
    const { output } = run(openaiChat, [both('4111 1111'), both(' 1111 1111'), both('.'), openai.end])
    assert.equal(output, [both('[CREDIT_CARD]'), both(''), both('.'), openai.end].join(''))
  })

  test('a citation stands in the midst of its text and does not end it', () => {
    const delta = (more: object): string => `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: more })}\n\n`
    const text = (said: string): string => delta({ type: 'text_delta', text: said })
    const cites = delta({ type: 'citations_delta', citation: { type: 'char_location', cited_text: 'x' } })
    const { output } = run(anthropicMessages, [text('4111 1111'), cites, text(' 1111 1111'), text('.')])
    assert.equal(output, text('[CREDIT_CARD]') + cites + text('') + text('.'))
  })

  test('choices are told apart: what one begins ends nothing of another', () => {
    const other = `data: ${JSON.stringify({ choices: [{ index: 1, delta: { tool_calls: [{ index: 0, function: { arguments: '{' } }] } }] })}\n\n`
    const { say } = stream(openaiChat)
    assert.equal(say(openai.text(sentence), other), 0)
  })

  test('items of a response end by themselves, and what is told of a call lets go of the text before it', () => {
    const event = (type: string, more: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, output_index: 0, ...more })}\n\n`
    const added = event('response.output_item.added', { output_index: 1, item: { type: 'function_call', id: 'f', call_id: 'c', name: 'write', arguments: '' } })
    const { say } = stream(openaiResponses)
    assert.equal(say(event('response.output_text.delta', { content_index: 0, delta: sentence })), 0)
    assert.equal(say(added), 2)
  })
})

describe('a text that goes on after it seemed to have ended', () => {
  /** How each format goes on with a text, and interrupts it. */
  const ways: readonly { name: string; dialect: Dialect; text: (said: string) => string; between: string }[] = [
    { name: 'openai-chat', dialect: openaiChat, text: openai.text, between: calling('{"a":1}') },
    { name: 'thoughts between', dialect: openaiChat, text: openai.text, between: thinking('Hm. ') },
    { name: 'gemini', dialect: geminiGenerate, text: (text) => gemini({ text }), between: gemini(CALL) },
    { name: 'arguments', dialect: openaiChat, text: calling, between: openai.text('Now. ') },
  ]
  for (const { name, dialect, text, between } of ways) {
    test(`${name}: a secret that lies across the interruption stops the reply, wherever it is cut, and its end never leaves`, () => {
      for (const action of ['REDACT', 'BLOCK'] as const)
        for (const secret of [CARD, 'project osprey'])
          for (let cut = 1; cut < secret.length; cut++) {
            const { say, written, end, breakOff, counts } = stream(dialect, [
              rule(card, action, { id: 'r' }),
              rule(inReply('project osprey'), action, { id: 'r' }),
            ])
            assert.throws(() => {
              say(text(`x ${secret.slice(0, cut)}`), between, text(`${secret.slice(cut)} `), text('and so on.'))
              end()
            }, unreadable)
            breakOff()
            assert.deepEqual(written, [text(`x ${secret.slice(0, cut)}`), between])
            assert.equal(counts().length, 1)
          }
    })

    test(`${name}: what goes on in small pieces waits until it is clear that nothing lies across`, () => {
      const { say, written, end, breakOff } = stream(dialect)
      assert.throws(() => {
        say(text('a project'), between, ...Array.from(' osprey', text))
        end()
      }, unreadable)
      breakOff()
      assert.deepEqual(written, [text('a project'), between])
    })

    test(`${name}: three parts are no better hidden than two`, () => {
      const { say, written, end, breakOff } = stream(dialect)
      say(text('an 4111 11'), between, text('11 1111'), between)
      assert.throws(() => {
        say(text(' 1111 ok'))
        end()
      }, unreadable)
      breakOff()
      assert.ok(!written.join('').includes('ok'))
    })

    test(`${name}: at the end of the stream nothing of it leaves either`, () => {
      const { say, written, end, breakOff } = stream(dialect)
      say(text('an 4111 1111'), between, text(' 1111 1111'))
      assert.throws(end, unreadable)
      breakOff()
      assert.deepEqual(written, [text('an 4111 1111'), between])
    })

    test(`${name}: what is whole on either side is cut, and what only looked like a beginning passes`, () => {
      const { say, written, end } = stream(dialect)
      say(text('n 4111 1111'), between, text(` apples, ${CARD}`), between, text(' and a pro'), between, text('blem.'))
      end()
      const expected = [text('n 4111 1111'), between, text(' apples, [CREDIT_CARD]'), between, text(' and a pro'), between, text('blem.')]
      assert.equal(written.join(''), expected.join(''))
    })

    test(`${name}: rules that only count count what lies across, and stop nothing`, () => {
      const { say, written, end, counts } = stream(dialect, [rule(card, 'WARN', { id: 'warn' })])
      const chunks = [text('n 4111 1111'), between, text(' 1111 1111.'), text(' ok')]
      say(...chunks)
      end()
      assert.equal(written.join(''), chunks.join(''))
      assert.deepEqual(counts(), [['warn', 1]])
    })
  }

  test('a text of which more is open than is watched again waits for its end', () => {
    const phrase = `begin ${'and on '.repeat(100)}end`
    const half = phrase.slice(0, 600)
    const { say, written, end } = stream(openaiChat, [rule(inReply(phrase), 'REDACT')])
    assert.equal(say(openai.text(half), calling('{}')), 0)
    say(openai.text(phrase.slice(600)), openai.end)
    end()
    assert.equal(written.join(''), openai.text('[REDACTED]') + calling('{}') + openai.text('') + openai.end)
  })

  test('a piece that is decided by itself waits while something may lie across the interruption before it', () => {
    let isOpen = true
    const across: Watch = {
      feed() {},
      finish() {},
      get decided() {
        return isOpen ? 0 : Number.POSITIVE_INFINITY
      },
    }
    const text = new StreamedText({ ...cuttingAll, watch: halfOpen, watchAcross: () => across })
    const feed = () => ({ role: 'assistant' as const, start: 0, end: 1, escaped: false, ...text.feed(Buffer.from('k'), 0, 1, 'assistant') })
    const before = feed()
    text.interrupt()
    assert.ok(text.isDecided(before))
    const after = feed()
    assert.ok(!text.isDecided(after))
    isOpen = false
    assert.ok(text.isDecided(feed()) && text.isDecided(after))
  })

  test('what was cut piece by piece up to the interruption, and began before what is watched again, may go on after it: that is not relayed', () => {
    const piece = Buffer.alloc(100, 'k')
    for (const pieces of [4, 6]) {
      const text = new StreamedText(cuttingAll)
      for (let i = 0; i < pieces; i++) text.forget(text.feed(piece, 0, piece.length, 'assistant').to)
      text.interrupt()
      const goOn = (): unknown => text.feed(piece, 0, piece.length, 'assistant')
      if (pieces * piece.length <= 512) goOn()
      else assert.throws(goOn, unreadable)
    }
  })
})

/** Decides everything once the text was interrupted. */
function halfOpen(): Watch {
  let at = 0
  let open = 1
  return {
    feed(_, from, to) {
      at += to - from
    },
    finish() {
      open = 0
    },
    get decided() {
      return at - open
    },
  }
}

/** Finds something in every byte, and never knows whether the last is the last. */
const cuttingAll: Judgement = {
  ...{ whole: null, holdsAll: false, withholdsRepeats: false, isLenient: false, uninspected() {}, media() {}, placeholderIn: () => () => '' },
  watchAcross: () => noWatch,
  watch(spans) {
    let at = 0
    let open = 0
    return {
      feed(_, from, to) {
        spans.push({ start: at, end: at + to - from, leaf: 0 })
        at += to - from
        open = 1
      },
      finish() {
        open = 0
      },
      get decided() {
        return at - open
      },
    }
  },
}

test('comments and pings keep their place behind what waits', () => {
  const { say, written, end } = stream(openaiChat)
  say(ENDING)
  const before = written.length
  say(openai.text('4111'), COMMENT, 'event: ping\n\n')
  assert.equal(written.length, before)
  end()
  assert.deepEqual(written.slice(before), [openai.text('4111'), COMMENT, 'event: ping\n\n'])
})

describe('a long reply in one piece', () => {
  const long = `${'It goes on. '.repeat(20_000)}${CARD}${' And on.'.repeat(20_000)}`
  const bodyOf = (content: string): string => JSON.stringify({ choices: [{ message: { role: 'assistant', content } }] })
  /** Sent to its end; how far it came is told by what was written. `isWanted` is asked before each turn but the first. */
  function judged(body: string, { policyRules = rules, isWanted = () => true, originals = null, dialect = openaiChat }: Judged = {}) {
    const { tenant } = ask('hi').caller
    const screen = screenFor(compile(1, policyRules).judge(ask('hi')), dialect, { tenant, originals, isWanted }) ?? assert.fail('no screen')
    const told: string[] = []
    const sink = screen.wrap({
      head: () => void told.push('head'),
      data: (chunk) => told.push(chunk.toString()) > 0,
      end: () => void told.push('end'),
      error() {},
    })
    sink.head(200, ['content-type', 'application/json'])
    sink.data(Buffer.from(body))
    sink.end()
    return { told, settled: screen.settled() }
  }
  interface Judged {
    policyRules?: readonly Rule[]
    isWanted?: () => boolean
    originals?: Parameters<typeof screenFor>[2]['originals']
    dialect?: Dialect
  }

  test('is judged in turns, and nothing of it is relayed before the last', async () => {
    let turns = 1
    const { told, settled } = judged(bodyOf(long), { isWanted: () => told.length === 0 && ++turns > 0 })
    assert.deepEqual(told, [])
    await settled
    assert.ok(turns > Math.floor(long.length / TURN_BYTES), `${turns} turns`)
    assert.deepEqual(told, ['head', bodyOf(long.replace(CARD, '[CREDIT_CARD]')), 'end'])
  })

  test('that comes as a list of events is judged in turns too', async () => {
    const listed = (last: string): string =>
      JSON.stringify(
        Array.from({ length: 2000 }, (_, i) => ({ candidates: [{ content: { parts: [{ text: i < 1999 ? `${i}. `.padEnd(80, 'go ') : last }] } }] })),
      )
    const { told, settled } = judged(listed(`: ${CARD}.`), { dialect: geminiGenerate })
    assert.deepEqual(told, [])
    await settled
    assert.deepEqual(told, ['head', listed(': [CREDIT_CARD].'), 'end'])
  })

  test('that a rule stops is relayed neither in whole nor in part', async () => {
    const { told, settled } = judged(bodyOf(`${long} launch codes`))
    await assert.rejects(settled ?? assert.fail('settled'), (error) => error instanceof Refusal && error.reason === 'blocked_by_rule')
    assert.deepEqual(told, [])
  })

  test('that nobody waits for any more is not judged on', async () => {
    let turns = 0
    const { told, settled } = judged(bodyOf(long), { isWanted: () => ++turns < 2 })
    await assert.rejects(settled ?? assert.fail('settled'), { code: 'CLIENT_LEFT' })
    assert.deepEqual([turns, told], [2, []])
  })

  test('has settled only when what was cut from the call is put back as well', async () => {
    const { placeholderOf, originals } = createReversible(Buffer.alloc(32, 7))
    const placeholder = placeholderOf('[SSN]', '536-90-4399')
    const { told, settled } = judged(bodyOf(`${long} ${placeholder}`), { originals })
    await settled
    assert.deepEqual(told, ['head', bodyOf(`${long.replace(CARD, '[CREDIT_CARD]')} 536-90-4399`), 'end'])
  })

  test('that is short, or that nobody waits for in turns, has settled at its end', () => {
    const { told, settled } = judged(bodyOf('short'))
    assert.deepEqual([told, settled], [['head', bodyOf('short'), 'end'], undefined])
    assert.equal(answer(bodyOf(long)).output, bodyOf(long.replace(CARD, '[CREDIT_CARD]')))
  })
})
