import type { Usage } from '../call.ts'
import { anthropic } from './anthropic/anthropic.ts'
import { anthropicMessages } from './anthropic/anthropic-messages.ts'
import type { Dialect } from './dialect.ts'
import { earthflowProxy } from './earthflow-proxy.ts'
import { gemini } from './gemini/gemini.ts'
import { geminiGenerate } from './gemini/gemini-generate.ts'
import { genericJson } from './generic-json.ts'
import { azure, errorEvent, openai } from './openai/openai.ts'
import { openaiAudio } from './openai/openai-audio.ts'
import { openaiChat } from './openai/openai-chat.ts'
import { openaiCompletions } from './openai/openai-completions.ts'
import { openaiEmbeddings } from './openai/openai-embeddings.ts'
import { openaiImages } from './openai/openai-images.ts'
import { openaiModerations } from './openai/openai-moderations.ts'
import { openaiResponses } from './openai/openai-responses.ts'

/** The same format at Azure's paths, where a deployment stands for the model. */
const onAzure = (dialect: Dialect): Dialect => ({
  ...dialect,
  vendor: azure,
  paths: dialect.paths.flatMap((path) => [`/openai${path}`, path.replace('/v1/', '/openai/deployments/{model}/')]),
})

const openaiDialects: readonly Dialect[] = [openaiChat, openaiResponses, openaiCompletions, openaiEmbeddings, openaiModerations, openaiImages, openaiAudio]

/** Every wire format Earthflow reads, Azure's paths apart. A new one is a file and a line here. */
export const formats: readonly Dialect[] = [...openaiDialects, anthropicMessages, geminiGenerate]
/** The same with Azure's paths and our own envelope: what the paths are looked up in. */
export const dialects: readonly Dialect[] = [...formats, ...openaiDialects.map(onAzure), earthflowProxy]

/** The counts of a reply in whatever format: that reading of it which finds the most tokens, for one that passes over caches finds fewer. */
function readAnyUsage(ends: string): Usage | null {
  const found = [openaiChat, openaiResponses, anthropicMessages, geminiGenerate].map(({ readUsage }) => readUsage(ends)).filter((usage) => usage !== null)
  const tokens = ({ input_tokens, output_tokens }: Usage): number => input_tokens + output_tokens
  return found.length === 0 ? null : found.reduce((most, usage) => (tokens(usage) > tokens(most) ? usage : most))
}

/** Paths of a vendor that no dialect describes. */
export const openaiNative = genericJson(openai, ({ refusal }) => errorEvent(refusal), readAnyUsage)
export const azureNative = genericJson(azure, ({ refusal }) => errorEvent(refusal), readAnyUsage)
export const anthropicNative = genericJson(anthropic, anthropicMessages.stopStream, readAnyUsage)
export const geminiNative = genericJson(gemini, geminiGenerate.stopStream, readAnyUsage)

/** The vendor whose formats an upstream speaks, by the name of a dialect. */
export const vendorOf = (name: string): string | undefined => formats.find((dialect) => dialect.name === name)?.vendor.name
/** How a vendor's paths are read that no dialect describes; undefined for a vendor nobody knows. */
export const nativeOf = (vendor: string): Dialect | undefined =>
  [openaiNative, azureNative, anthropicNative, geminiNative].find((one) => one.vendor.name === vendor)
