import { newId } from '../../ids.ts'
import type { Answer, Operation, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { decodeSegment, items, member, string } from '../read-body.ts'
import { countTokens, embed, type Speech, speak, tokensOf, words } from '../speak.ts'
import { gemini } from './gemini.ts'

/** As many candidates as the provider allows, and as many dimensions. */
const CANDIDATES_MAX = 8
const DIMENSIONS_MAX = 3072
const DIMENSIONS = 8
const CREATED = '2026-01-01T00:00:00Z'

export const geminiGenerate: PlayedDialect = {
  name: 'gemini',
  vendor: gemini,
  operations: [
    operation('generateContent', (body, { model }) => readGenerate(body, model, (chunks) => ({ kind: 'document', body: merged(chunks) }))),
    operation('streamGenerateContent', (body, { model, isEvents }) =>
      readGenerate(body, model, (chunks) =>
        isEvents ? { kind: 'stream', frames: events(chunks) } : { kind: 'stream', frames: list(chunks), contentType: 'application/json; charset=UTF-8' },
      ),
    ),
    operation('countTokens', (body) => {
      const totalTokens = countPrompt(member(body, 'generateContentRequest') ?? body)
      return () => ({ kind: 'document', body: { totalTokens, promptTokensDetails: inText(totalTokens) } })
    }),
    operation('embedContent', (body) => {
      const embedding = embeddingOf(body)
      return () => ({ kind: 'document', body: { embedding } })
    }),
    operation('batchEmbedContents', (body) => {
      const embeddings = items(member(body, 'requests')).map(embeddingOf)
      return () => ({ kind: 'document', body: { embeddings } })
    }),
    operation('batchGenerateContent', () => () => {
      const name = `batches/${newId('batch')}`
      return { kind: 'document', body: { name, metadata: { name, state: 'BATCH_STATE_PENDING', createTime: CREATED }, done: false } }
    }),
  ],
}

/** The model stands in the path, behind whatever Vertex AI puts there of a project. `isEvents` is false where a stream is to be one list. */
function operation(verb: string, read: (body: unknown, place: { model: string; isEvents: boolean }) => () => Answer): Operation {
  const path = new RegExp(`^/v1(?:beta1?|alpha)?/(?:[^/]+/)*(?:models|tunedModels|endpoints)/([^/]+):${verb}$`)
  return {
    path,
    read(body, at, query) {
      const model = decodeSegment(path.exec(at)?.[1] ?? '')
      return { model, answer: read(body, { model, isEvents: query.get('alt') === 'sse' }) }
    },
  }
}

type Chunk = Record<string, unknown> & { candidates: object[] }

function readGenerate(body: unknown, model: string, answer: (chunks: Iterable<Chunk>) => Answer): () => Answer {
  const contents = contentsOf(body)
  const config = member(body, 'generationConfig')
  const candidates = member(config, 'candidateCount') ?? 1
  if (typeof candidates !== 'number' || !Number.isInteger(candidates) || candidates < 1 || candidates > CANDIDATES_MAX) {
    throw new UnreadableAsk(`candidateCount must be a whole number from 1 to ${CANDIDATES_MAX}.`, 'generationConfig.candidateCount')
  }
  return () => {
    const speech = speak({ lastUserText: lastUserText(contents), toolResult: toolResult(contents), tool: chooseTool(body), schema: schemaOf(config) })
    return answer(chunks(speech, { model, candidates, promptTokens: countPrompt(body) }))
  }
}

function contentsOf(body: unknown): readonly unknown[] {
  const contents = items(member(body, 'contents'))
  if (contents.length === 0) throw new UnreadableAsk('* GenerateContentRequest.contents: contents is not specified', 'contents')
  return contents
}

const partsOf = (content: unknown): readonly unknown[] => items(member(content, 'parts'))
const partTexts = (content: unknown): string[] =>
  partsOf(content)
    .flatMap((part) => member(part, 'text') ?? [])
    .map(string)

function lastUserText(contents: readonly unknown[]): string {
  const last = contents.findLast((content) => member(content, 'role') !== 'model')
  return partTexts(last).join('\n')
}

function toolResult(contents: readonly unknown[]): string | null {
  const results = partsOf(contents.at(-1)).flatMap((part) => member(part, 'functionResponse') ?? [])
  return results.length === 0 ? null : results.flatMap((result) => stringsIn(member(result, 'response'))).join('\n')
}

/** Every string of a value, in order. JSON.stringify walks it, whatever its depth. */
function stringsIn(value: unknown): string[] {
  const found: string[] = []
  JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'string') found.push(inner)
    return inner
  })
  return found
}

function chooseTool(body: unknown): { name: string; schema: unknown } | null {
  const calling = member(member(body, 'toolConfig'), 'functionCallingConfig')
  if (member(calling, 'mode') === 'NONE') return null
  const allowed = items(member(calling, 'allowedFunctionNames'))
  const declared = items(member(body, 'tools')).flatMap((tool) => items(member(tool, 'functionDeclarations')))
  const chosen = declared.find((one) => string(member(one, 'name')) !== '' && (allowed.length === 0 || allowed.includes(member(one, 'name'))))
  if (chosen === undefined) return null
  return {
    name: string(member(chosen, 'name')),
    schema: member(chosen, 'parametersJsonSchema') ?? jsonSchema(member(chosen, 'parameters')) ?? { type: 'object' },
  }
}

const schemaOf = (config: unknown): unknown => member(config, 'responseJsonSchema') ?? jsonSchema(member(config, 'responseSchema'))

/** Gemini's own schemas write the types in capitals. */
const jsonSchema = (schema: unknown): unknown =>
  schema === undefined
    ? undefined
    : JSON.parse(JSON.stringify(schema), (key, value: unknown) => (key === 'type' && typeof value === 'string' ? value.toLowerCase() : value))

function countPrompt(body: unknown): number {
  const texts = [member(body, 'systemInstruction'), ...contentsOf(body)].flatMap(partTexts)
  const tools = member(body, 'tools')
  return countTokens(tools === undefined ? texts : [...texts, JSON.stringify(tools)])
}

const inText = (tokenCount: number): object[] => [{ modality: 'TEXT', tokenCount }]

/** A whole answer in pieces: each counts what there was up to it, the last one ends it. */
function* chunks(speech: Speech, asked: { model: string; candidates: number; promptTokens: number }): Generator<Chunk> {
  const responseId = newId('resp')
  const chunk = (parts: object[], outputTokens: number, end: object): Chunk => ({
    candidates: Array.from({ length: asked.candidates }, (_, index) => ({ content: { parts, role: 'model' }, ...end, index })),
    usageMetadata: {
      promptTokenCount: asked.promptTokens,
      candidatesTokenCount: outputTokens,
      totalTokenCount: asked.promptTokens + outputTokens,
      promptTokensDetails: inText(asked.promptTokens),
    },
    modelVersion: asked.model,
    responseId,
  })
  const outputTokens = tokensOf(speech) * asked.candidates
  const parts: object[] = speech.kind === 'text' ? words(speech.text).map((text) => ({ text })) : [{ functionCall: { name: speech.name, args: speech.input } }]
  const last = parts.pop()
  for (const part of parts) yield chunk([part], 0, {})
  yield chunk(last === undefined ? [] : [last], outputTokens, { finishReason: 'STOP' })
}

/** The pieces as one response. */
function merged(chunks: Iterable<Chunk>): Chunk {
  const all = [...chunks]
  const last = all.at(-1) as Chunk
  const parts = all.flatMap((chunk) => partsOf(member(chunk.candidates[0], 'content')))
  const texts = parts.flatMap((part) => member(part, 'text') ?? [])
  const whole = texts.length === 0 ? parts : [{ text: texts.join('') }]
  return { ...last, candidates: last.candidates.map((candidate) => ({ ...candidate, content: { parts: whole, role: 'model' } })) }
}

function* events(chunks: Iterable<Chunk>): Generator<string> {
  for (const chunk of chunks) yield `data: ${JSON.stringify(chunk)}\r\n\r\n`
}

function* list(chunks: Iterable<Chunk>): Generator<string> {
  let before = '['
  for (const chunk of chunks) {
    yield before + JSON.stringify(chunk)
    before = '\n,\r\n'
  }
  yield ']'
}

function embeddingOf(request: unknown): object {
  const texts = partTexts(member(request, 'content'))
  if (texts.length === 0) throw new UnreadableAsk('* EmbedContentRequest.content: contents is not specified', 'content')
  const dimensions = member(request, 'outputDimensionality') ?? DIMENSIONS
  if (typeof dimensions !== 'number' || !Number.isInteger(dimensions) || dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    throw new UnreadableAsk(`outputDimensionality must be a whole number from 1 to ${DIMENSIONS_MAX}.`, 'outputDimensionality')
  }
  return { values: embed(texts.join('\n'), dimensions) }
}
