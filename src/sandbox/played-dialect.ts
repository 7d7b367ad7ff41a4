/** What the sandbox must know about a wire format to play its provider: one object per dialect, listed in `sandbox.ts`. */
export interface PlayedDialect {
  name: string
  /** What is answered by POST, by path without query. */
  operations: readonly Operation[]
  /** The headers every answer of this provider carries. */
  headers(requestId: string): Record<string, string>
  /** An error in the provider's own shape. */
  problem(problem: Problem, requestId: string): object
  /** The headers a 429 carries beside `retry-after`. `resetInMs` is how long the caller is to wait. */
  limitHeaders(resetInMs: number): Record<string, string>
  /** The answer to `GET /v1/models`. */
  listModels(ids: readonly string[]): object
  /** The answer to `GET /v1/models/{id}`. */
  showModel(id: string): object
}

export interface Operation {
  path: RegExp
  /** Reads a parsed body; throws UnreadableAsk where it is none of this dialect's. */
  read(body: unknown, path: string): Ask
}

/** A body that was read. The answer is made later, because some models refuse or think first. */
export interface Ask {
  model: string
  answer(): Answer
}

/** One JSON document, or the frames of an event stream, each as it goes over the wire. */
export type Answer = { kind: 'document'; body: object } | { kind: 'stream'; frames: Iterable<string> }

export interface Problem {
  kind: 'invalid' | 'unknown_path' | 'unknown_model' | 'too_large' | 'rate_limit' | 'failure'
  status: number
  /** Never holds text of a body. */
  message: string
  /** The member of the body that is wrong. */
  param?: string
}

/** A body this dialect cannot answer; `param` is the path of the member that is wrong. */
export class UnreadableAsk extends Error {
  readonly param: string
  constructor(message: string, param: string) {
    super(message)
    this.param = param
  }
}
