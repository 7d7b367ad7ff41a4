import { newId } from '../../ids.ts'
import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { member, modelOf } from '../read-body.ts'
import { readPrompts } from '../read-prompts.ts'
import { countTokens, speak, tokensOf, words } from '../speak.ts'
import { openai } from './openai.ts'

/** As many choices as the provider allows for one prompt. */
const CHOICES_MAX = 128

export const openaiCompletions: PlayedDialect = {
  name: 'openai-completions',
  vendor: openai,
  operations: [{ path: /^\/v1\/completions$/, read: (body) => ({ model: modelOf(body), answer: readCompletion(body) }) }],
}

function readCompletion(body: unknown): () => Answer {
  const prompts = readPrompts(body, 'prompt')
  const each = member(body, 'n') ?? 1
  if (typeof each !== 'number' || !Number.isInteger(each) || each < 1 || each > CHOICES_MAX) {
    throw new UnreadableAsk(`n: must be a whole number from 1 to ${CHOICES_MAX}`, 'n')
  }
  return () => {
    const speeches = prompts.flatMap((prompt) =>
      Array.from({ length: each }, () => speak({ lastUserText: prompt, toolResult: null, tool: null, schema: undefined })),
    )
    const texts = speeches.map((speech) => (speech.kind === 'text' ? speech.text : ''))
    const completion = { id: newId('cmpl').replace('_', '-'), object: 'text_completion', created: Math.floor(Date.now() / 1000), model: modelOf(body) }
    const asked = countTokens(prompts)
    const said = speeches.reduce((sum, speech) => sum + tokensOf(speech), 0)
    const usage = { prompt_tokens: asked, completion_tokens: said, total_tokens: asked + said }
    if (member(body, 'stream') === true)
      return { kind: 'stream', frames: frames(completion, texts, member(member(body, 'stream_options'), 'include_usage') === true ? usage : null) }
    const choices = texts.map((text, index) => ({ index, text, logprobs: null, finish_reason: 'stop' }))
    return { kind: 'document', body: { ...completion, choices, usage } }
  }
}

function* frames(completion: object, texts: readonly string[], usage: object | null): Generator<string> {
  const frame = (choices: object[], more: object = {}): string => `data: ${JSON.stringify({ ...completion, choices, ...more })}\n\n`
  for (const [index, text] of texts.entries()) {
    for (const word of words(text)) yield frame([{ index, text: word, logprobs: null, finish_reason: null }])
    yield frame([{ index, text: '', logprobs: null, finish_reason: 'stop' }])
  }
  if (usage) yield frame([], { usage })
  yield 'data: [DONE]\n\n'
}
