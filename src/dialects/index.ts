import { anthropicMessages } from './anthropic-messages.ts'
import type { Dialect } from './dialect.ts'
import { openaiChat } from './openai-chat.ts'

/** Every wire format Earthflow reads. A new one is a file and a line here. */
export const dialects: readonly Dialect[] = [openaiChat, anthropicMessages]
