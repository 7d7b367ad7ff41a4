/** What a run of the bench found, as its JSON holds it. */
import type { Load } from './load.ts'

export interface Round {
  set: string
  case: string
  server: string
  load: Load
  /** CPU of the server under test, microseconds per call: user and system, all threads and processes. */
  cpuUs: number
  /** CPU of the database server meanwhile; null when unknown, or when the server under test does not use it. */
  databaseCpuUs: number | null
  /** Before the load, and the most while it lasted. */
  residentBeforeKib: number
  residentKib: number
  /** The share of the server's core that others used meanwhile, 0..1. */
  foreign: number
  /** How often it was measured, until others were quiet. */
  tries: number
}

/** Microseconds of CPU per call. */
export interface StageShares {
  case: string
  callsPerSecond: number
  /** Of the whole process, from the system. */
  cpuUs: number
  /** Of the main thread, from its profile, by stage; the rest of `cpuUs` are other threads. */
  stages: { name: string; us: number }[]
}

/** Milliseconds. */
export interface LoopDelay {
  case: string
  p50: number
  p99: number
  max: number
}

export interface StartFigures {
  /** From the start of the process until it takes calls, on an existing database; milliseconds. */
  readyMs: number[]
  /** Ten seconds later, without a call. */
  idleMb: number
}

export interface Figures {
  start: StartFigures | null
  stages: StageShares[]
  loop: LoopDelay[]
}

export interface Minute {
  p50: number
  p99: number
  residentMb: number
  rps: number
  failed: number
}

export interface Steady {
  peakRps: number
  rate: number
  minutes: Minute[]
}

export interface BenchResult {
  at: string
  tookSeconds: number
  machine: { cpu: string; cores: number; memoryGb: number; kernel: string; node: string }
  rounds: Round[]
  /** Servers that did not start, and what could not be measured, and why. */
  problems: { server: string; problem: string }[]
  /** Calls answered with 2xx over a set beside rows recorded, for servers that record. */
  records: { server: string; calls: number; rows: number }[]
  figures: Figures
  steady: Steady | null
}
