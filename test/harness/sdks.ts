/** The official client libraries, two majors each, behind one face: what a developer does with each of them. */
import * as aiSdkOpenai from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import * as genai from '@google/genai'
import * as ai from 'ai'
import * as ai6 from 'ai-6'
import * as aiSdkOpenai3 from 'ai-sdk-openai-3'
import Anthropic0 from 'anthropic-0'
import * as genai1 from 'genai-1'
import OpenAI from 'openai'
import OpenAI6 from 'openai-6'

export interface Answer {
  text: string
  /** The arguments of the first tool call, as JSON; null where none was made. */
  toolArguments: string | null
  /** Why the model stopped, in the library's own word. */
  finish: string | null
}
export interface Asking {
  model: string
  prompt: string
  tool: boolean
}
/** A library with a key in its hand. Whatever it throws is what the developer would catch. */
export interface Client {
  ask(asking: Asking): Promise<Answer>
  /** Reads the whole stream; `onText` sees each piece of text as it comes. */
  stream(asking: Asking, onText?: (text: string) => void): Promise<Answer>
}
export interface Sdk {
  name: string
  connect(origin: string, key: string): Client
}

const parameters = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'] }
const TOOL = { name: 'get_weather', description: 'Tells the weather', parameters }
const MAX_TOKENS = 200

const openaiChat = (name: string, Client: typeof OpenAI): Sdk => ({
  name,
  connect(origin, apiKey) {
    const client = new Client({ apiKey, baseURL: `${origin}/v1` })
    const body = ({ model, prompt, tool }: Asking) => ({
      model,
      messages: [{ role: 'user' as const, content: prompt }],
      ...(tool && { tools: [{ type: 'function' as const, function: TOOL }] }),
    })
    return {
      async ask(asking) {
        const { choices } = await client.chat.completions.create(body(asking))
        const [call] = choices[0].message.tool_calls ?? []
        return {
          text: choices[0].message.content ?? '',
          toolArguments: call?.type === 'function' ? call.function.arguments : null,
          finish: choices[0].finish_reason,
        }
      },
      async stream(asking, onText) {
        const answer: Answer = { text: '', toolArguments: null, finish: null }
        for await (const { choices } of await client.chat.completions.create({ ...body(asking), stream: true })) {
          const piece = choices[0]?.delta.content ?? ''
          if (piece !== '') onText?.(piece)
          answer.text += piece
          answer.finish = choices[0]?.finish_reason ?? answer.finish
        }
        return answer
      },
    }
  },
})

const openaiResponses = (name: string, Client: typeof OpenAI): Sdk => ({
  name,
  connect(origin, apiKey) {
    const client = new Client({ apiKey, baseURL: `${origin}/v1` })
    const body = ({ model, prompt, tool }: Asking) => ({
      model,
      input: prompt,
      ...(tool && { tools: [{ type: 'function' as const, strict: false, ...TOOL }] }),
    })
    return {
      async ask(asking) {
        const response = await client.responses.create(body(asking))
        const call = response.output.find((item) => item.type === 'function_call')
        return { text: response.output_text, toolArguments: call?.arguments ?? null, finish: response.status ?? null }
      },
      async stream(asking, onText) {
        const answer: Answer = { text: '', toolArguments: null, finish: null }
        for await (const event of await client.responses.create({ ...body(asking), stream: true })) {
          if (event.type === 'response.output_text.delta') {
            onText?.(event.delta)
            answer.text += event.delta
          }
          if (event.type === 'response.completed' || event.type === 'response.incomplete' || event.type === 'response.failed')
            answer.finish = event.type.slice('response.'.length)
        }
        return answer
      },
    }
  },
})

const anthropic = (name: string, Client: typeof Anthropic): Sdk => ({
  name,
  connect(baseURL, apiKey) {
    const client = new Client({ apiKey, baseURL })
    const body = ({ model, prompt, tool }: Asking) => ({
      model,
      max_tokens: MAX_TOKENS,
      messages: [{ role: 'user' as const, content: prompt }],
      ...(tool && { tools: [{ name: TOOL.name, description: TOOL.description, input_schema: parameters }] }),
    })
    return {
      async ask(asking) {
        const { content, stop_reason } = await client.messages.create(body(asking))
        const call = content.find((block) => block.type === 'tool_use')
        const text = content.map((block) => (block.type === 'text' ? block.text : '')).join('')
        return { text, toolArguments: call ? JSON.stringify(call.input) : null, finish: stop_reason }
      },
      async stream(asking, onText) {
        const answer: Answer = { text: '', toolArguments: null, finish: null }
        for await (const event of await client.messages.create({ ...body(asking), stream: true })) {
          if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
            onText?.(event.delta.text)
            answer.text += event.delta.text
          }
          if (event.type === 'message_delta') answer.finish = event.delta.stop_reason
        }
        return answer
      },
    }
  },
})

const gemini = (name: string, { GoogleGenAI }: typeof genai): Sdk => ({
  name,
  connect(baseUrl, apiKey) {
    const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl } })
    const body = ({ model, prompt, tool }: Asking) => ({
      model,
      contents: prompt,
      ...(tool && { config: { tools: [{ functionDeclarations: [{ name: TOOL.name, description: TOOL.description, parametersJsonSchema: parameters }] }] } }),
    })
    return {
      async ask(asking) {
        const answer = await client.models.generateContent(body(asking))
        const [call] = answer.functionCalls ?? []
        return {
          text: call ? '' : (answer.text ?? ''),
          toolArguments: call ? JSON.stringify(call.args) : null,
          finish: answer.candidates?.[0]?.finishReason ?? null,
        }
      },
      async stream(asking, onText) {
        const answer: Answer = { text: '', toolArguments: null, finish: null }
        for await (const chunk of await client.models.generateContentStream(body(asking))) {
          const piece = chunk.text ?? ''
          if (piece !== '') onText?.(piece)
          answer.text += piece
          answer.finish = chunk.candidates?.[0]?.finishReason ?? answer.finish
        }
        return answer
      },
    }
  },
})

const vercel = (name: string, { generateText, streamText, tool, jsonSchema }: typeof ai, { createOpenAI }: typeof aiSdkOpenai): Sdk => ({
  name,
  connect(origin, apiKey) {
    const provider = createOpenAI({ apiKey, baseURL: `${origin}/v1` })
    const settings = ({ model, prompt, tool: withTool }: Asking) => ({
      model: provider.chat(model),
      prompt,
      tools: (withTool ? { [TOOL.name]: tool({ description: TOOL.description, inputSchema: jsonSchema(parameters) }) } : {}) as ai.ToolSet,
    })
    return {
      async ask(asking) {
        const { text, toolCalls, finishReason } = await generateText(settings(asking))
        return { text, toolArguments: toolCalls[0] ? JSON.stringify(toolCalls[0].input) : null, finish: finishReason }
      },
      async stream(asking, onText) {
        let failure: { error: unknown } | null = null
        const result = streamText({
          ...settings(asking),
          onError: (event) => {
            failure ??= event
          },
        })
        const answer: Answer = { text: '', toolArguments: null, finish: null }
        for await (const piece of result.textStream) {
          onText?.(piece)
          answer.text += piece
        }
        // This library hands a failure to the callback, and ends the text as if nothing had happened.
        if (failure !== null) throw (failure as { error: unknown }).error
        answer.finish = await result.finishReason
        return answer
      },
    }
  },
})

/** Every library, newest major first. A version is the one in package.json. */
export const sdks: readonly Sdk[] = [
  openaiChat('openai 7, chat', OpenAI),
  openaiChat('openai 6, chat', OpenAI6 as unknown as typeof OpenAI),
  openaiResponses('openai 7, responses', OpenAI),
  openaiResponses('openai 6, responses', OpenAI6 as unknown as typeof OpenAI),
  anthropic('@anthropic-ai/sdk 1', Anthropic),
  anthropic('@anthropic-ai/sdk 0', Anthropic0 as unknown as typeof Anthropic),
  gemini('@google/genai 2', genai),
  gemini('@google/genai 1', genai1 as unknown as typeof genai),
  vercel('ai 7, @ai-sdk/openai 4', ai, aiSdkOpenai),
  vercel('ai 6, @ai-sdk/openai 3', ai6 as unknown as typeof ai, aiSdkOpenai3 as unknown as typeof aiSdkOpenai),
]
