/** The calls that are measured. */
import { agentBody, chatBody } from './bodies.ts'

export interface BenchCase {
  name: string
  about: string
  connections: number
  /** Calls begun a second, answered or not; 0: every connection calls as soon as it was answered. */
  rate: number
  /** Chunks of one answer; 0 when it is plain JSON. */
  chunks: number
  /** Seconds before what is measured, for connections, or until all streams are under way. */
  warmSeconds: number
  /** Seconds measured; null: as long as the run says. */
  seconds: number | null
  /** Calls with which each server is warmed for this case, after those it was warmed with at first. */
  warmCalls: number
  /** A run of the whole bench does no more rounds of it than that. */
  roundsMax: number
  /** Who cannot do it, or has nothing to show in it. */
  without: readonly string[]
  body: string
}

/** What the fake provider streams, and how large its plain answer is. */
export const PROVIDER_CHUNKS = 50
export const PROVIDER_BODY_BYTES = 1024

const CHAT_BYTES = 1_476
const LARGE_BYTES = 65_516
const AGENT_BYTES = 512 << 10
const HUGE_BYTES = 1 << 20
const PACE_US = 100_000
/** So many begin a second that a thousand are under way at any time. */
const PACED_STREAMS = 1_000
const PACED_RATE = PACED_STREAMS / ((PROVIDER_CHUNKS * PACE_US) / 1e6)

const usual = { connections: 64, rate: 0, chunks: 0, warmSeconds: 0.3, seconds: null, warmCalls: 2_000, roundsMax: Number.POSITIVE_INFINITY, without: [] }
/** Of 64 such calls at once each would wait for seconds. */
const large = { connections: 16, seconds: 3, warmCalls: 200, roundsMax: 2 }
const chat = chatBody({ bytes: CHAT_BYTES })
const stream = { chunks: PROVIDER_CHUNKS, warmCalls: 1_000, roundsMax: 2 }

export const benchCases: readonly BenchCase[] = [
  { ...usual, name: 'plain', about: '1.5 KB chat, 1 KB JSON answer, 64 connections', body: chat },
  { ...usual, name: 'one', about: 'the same, 1 connection', connections: 1, roundsMax: 2, body: chat },
  { ...usual, name: 'thousand', about: 'the same, 1,000 connections', connections: 1_000, warmSeconds: 1, roundsMax: 2, body: chat },
  { ...usual, name: '64k', about: '64 KB chat', body: chatBody({ bytes: LARGE_BYTES }) },
  { ...usual, ...large, name: 'agent-first', about: '512 KB of an agent, no text seen before, 16 connections', body: agentBody('first', AGENT_BYTES) },
  {
    ...usual,
    ...large,
    name: 'agent-repeated',
    about: '512 KB of an agent, seen before but for the last message, 16 connections',
    body: agentBody('repeated', AGENT_BYTES),
  },
  { ...usual, ...large, name: '1m', about: '1 MB chat, 16 connections', body: chatBody({ bytes: HUGE_BYTES }) },
  {
    ...usual,
    ...stream,
    name: 'stream',
    about: `1.5 KB chat, ${PROVIDER_CHUNKS} chunks as fast as they go`,
    body: chatBody({ bytes: CHAT_BYTES, stream: true }),
  },
  { ...usual, name: 'rate-500', about: '500 calls a second, 1.5 KB', rate: 500, warmSeconds: 0.5, seconds: 4, warmCalls: 0, roundsMax: 2, body: chat },
  {
    ...usual,
    name: 'rate-1000',
    about: '1,000 calls a second, 1.5 KB',
    rate: 1_000,
    warmSeconds: 0.5,
    seconds: 4,
    warmCalls: 0,
    roundsMax: 2,
    without: ['portkey'],
    body: chat,
  },
  {
    ...usual,
    ...stream,
    name: 'paced',
    about: `${PACED_STREAMS.toLocaleString('en')} streams at once, a chunk each every ${PACE_US / 1e3} ms`,
    connections: PACED_STREAMS * 2,
    rate: PACED_RATE,
    warmSeconds: 5.5,
    seconds: 4,
    warmCalls: 0,
    roundsMax: 1,
    body: chatBody({ bytes: CHAT_BYTES, stream: true, paceUs: PACE_US }),
  },
]

/** How many streams are under way at once. */
export const STREAMS = { paced: PACED_STREAMS } as const

/** Throws a sentence where there is none of that name. */
export function caseNamed(name: string): BenchCase {
  const one = benchCases.find((each) => each.name === name)
  if (!one) throw new Error(`There is no case ${name}; there is ${benchCases.map((each) => each.name).join(', ')}.`)
  return one
}
