/** The hash under which a prompt stands in the audit log, taken by the code that reads calls. */
import { z } from 'zod'
import { promptOf } from '../audit/prompt-hash.ts'
import { createCallReader } from '../dialects/bodies/read-call.ts'
import { openaiNative } from '../dialects/index.ts'
import { Refusal } from '../errors.ts'
import type { AdminParts } from './parts.ts'

const MESSAGES_MAX = 100_000
/** Stands for the model where a dialect's path names one; the hash does not depend on it. */
const SOME_MODEL = 'model'

const members = z.record(z.string(), z.unknown())

export const hashedPrompt = z
  .strictObject({
    text: z.string().optional().meta({ description: 'All there is in the call: one message.' }),
    messages: z.array(members).max(MESSAGES_MAX).optional().meta({ description: 'As openai-chat has them.' }),
    body: members.optional().meta({ description: 'The whole body of the call.' }),
    dialect: z.string().max(64).optional().meta({ description: 'As the audit log names it: how body is read; openai-chat where it is not said.' }),
  })
  .refine(({ text, messages, body }) => [text, messages, body].filter((one) => one !== undefined).length === 1, {
    error: 'Give either text, messages or body.',
    path: ['text'],
  })
  .refine(({ body, dialect }) => dialect === undefined || body !== undefined, { error: 'Says how body is read; there is none.', path: ['dialect'] })
  .meta({ examples: [{ text: 'Hello' }] })

const DEFAULT_DIALECT = 'openai-chat'

/** What is hashed of a call; throws a Refusal where the body is no call of the dialect, or no hashes are kept. */
export function createPrompts({ dialects, hashPrompts }: Pick<AdminParts, 'dialects' | 'hashPrompts'>) {
  const readCall = createCallReader()
  return ({ text, messages, body, dialect: name = DEFAULT_DIALECT }: z.output<typeof hashedPrompt>): Buffer => {
    if (!hashPrompts) throw new Refusal('config', 'AUDIT_HASH_PROMPTS is false: the audit log keeps no hash.')
    if (text !== undefined) return Buffer.from(text)
    const known = [...dialects, openaiNative]
    const named = known.filter((one) => one.name === name)
    if (named.length === 0) {
      const names = [...new Set(known.map((one) => one.name))].join(', ')
      throw new Refusal('config', `There is no such dialect. Known: ${names}.`, { context: { field: 'dialect' } })
    }
    const bytes = Buffer.from(JSON.stringify(messages ? { model: SOME_MODEL, messages } : body))
    let problem: Refusal | undefined
    // One dialect may describe several bodies, each with a path of its own; what no dialect describes is read alike on any path.
    for (const { dialect, path } of named.flatMap((dialect) => (dialect.paths.length > 0 ? dialect.paths : ['']).map((path) => ({ dialect, path })))) {
      const model = path.includes('{model}') ? SOME_MODEL : null
      const read = readCall(bytes, 'application/json', { kind: 'call', dialect, path: path.replace('{model}', SOME_MODEL), model, upstream: null })
      if (!(read instanceof Refusal)) return promptOf(read.call)
      problem ??= read
    }
    const param = typeof problem?.context.param === 'string' ? problem.context.param : ''
    const field = messages ? param || 'messages' : param === '' ? 'body' : `body.${param}`
    throw new Refusal('invalid_request', problem?.message ?? 'This dialect has no calls.', { context: { field } })
  }
}
