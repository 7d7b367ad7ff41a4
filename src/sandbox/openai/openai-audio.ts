import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { member, modelOf, string } from '../read-body.ts'
import { countTokens, words } from '../speak.ts'
import { openai } from './openai.ts'

export const openaiAudio: PlayedDialect = {
  name: 'openai-audio',
  vendor: openai,
  operations: [
    { path: /^\/v1\/audio\/speech$/, read: (body) => ({ model: modelOf(body), answer: readSpeech(body) }) },
    { path: /^\/v1\/audio\/transcriptions$/, read: (body) => ({ model: modelOf(body), answer: readSound(body, 'transcribe') }) },
    { path: /^\/v1\/audio\/translations$/, read: (body) => ({ model: modelOf(body), answer: readSound(body, 'translate') }) },
  ],
}

function readSpeech(body: unknown): () => Answer {
  const input = string(member(body, 'input'))
  if (input === '') throw new UnreadableAsk('input: a string is required', 'input')
  return () => {
    if (member(body, 'stream_format') !== 'sse') return { kind: 'bytes', body: SILENCE, contentType: 'audio/wav' }
    return {
      kind: 'stream',
      frames: [frame('speech.audio.delta', { audio: SILENCE.toString('base64') }), frame('speech.audio.done', { usage: usageOf([input], 1) })],
    }
  }
}

/** What is written down of a sound tells its length: nobody listens to it here. */
function readSound(body: unknown, task: 'transcribe' | 'translate'): () => Answer {
  const file = member(body, 'file')
  if (!(file instanceof Blob)) throw new UnreadableAsk('file: a file is required', 'file')
  return () => {
    const text = `You said: ${file.size} bytes of audio`
    const prompt = string(member(body, 'prompt'))
    if (member(body, 'stream') === 'true') return { kind: 'stream', frames: transcript(text, prompt) }
    switch (member(body, 'response_format')) {
      case 'text':
        return { kind: 'text', body: `${text}\n` }
      case 'srt':
        return { kind: 'text', body: `1\n00:00:00,000 --> 00:00:01,000\n${text}\n\n` }
      case 'vtt':
        return { kind: 'text', body: `WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n${text}\n\n` }
      case 'verbose_json':
        return { kind: 'document', body: { task, language: 'english', duration: 1, text, segments: [segment(text)], usage: { type: 'duration', seconds: 1 } } }
      default:
        return { kind: 'document', body: task === 'translate' ? { text } : { text, usage: usageOf([prompt], countTokens([text])) } }
    }
  }
}

const segment = (text: string): object => ({
  id: 0,
  seek: 0,
  start: 0,
  end: 1,
  text,
  tokens: [0],
  temperature: 0,
  avg_logprob: 0,
  compression_ratio: 1,
  no_speech_prob: 0,
})

function* transcript(text: string, prompt: string): Generator<string> {
  for (const delta of words(text)) yield frame('transcript.text.delta', { delta })
  yield frame('transcript.text.done', { text, usage: usageOf([prompt], countTokens([text])) })
}

function usageOf(asked: readonly string[], outputTokens: number): object {
  const inputTokens = countTokens(asked)
  return { type: 'tokens', input_tokens: inputTokens, output_tokens: outputTokens, total_tokens: inputTokens + outputTokens }
}

const frame = (type: string, event: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...event })}\n\n`

const SAMPLES = 800
const SAMPLES_PER_SECOND = 8000
/** What 8-bit samples call silence. */
const QUIET = 128

/** A tenth of a second of nothing, as WAV: one channel of 8 bits. */
const SILENCE = wav(Buffer.alloc(SAMPLES, QUIET))

function wav(samples: Buffer): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8, 'latin1')
  head.writeUInt32LE(16, 16) // bytes of the description that follows
  head.writeUInt16LE(1, 20) // plain samples
  head.writeUInt16LE(1, 22) // channels
  head.writeUInt32LE(SAMPLES_PER_SECOND, 24)
  head.writeUInt32LE(SAMPLES_PER_SECOND, 28) // bytes a second
  head.writeUInt16LE(1, 32) // bytes a sample
  head.writeUInt16LE(8, 34) // bits a sample
  head.write('data', 36, 'latin1')
  head.writeUInt32LE(samples.length, 40)
  return Buffer.concat([head, samples])
}
