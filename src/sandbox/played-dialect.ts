/** What the sandbox must know about a provider and its wire formats to play them: one object for each, listed in `sandbox.ts`. */
export interface PlayedVendor {
  /** The paths of its list of models, without a slash at the end; a path below one of them shows one model. */
  modelPaths: readonly string[]
  /** The headers every answer of this provider carries. */
  headers(requestId: string): Record<string, string>
  /** An error in the provider's own shape. */
  problem(problem: Problem, requestId: string): object
  /** The headers a 429 carries beside `retry-after`. `resetInMs` is how long the caller is to wait. */
  limitHeaders(resetInMs: number): Record<string, string>
  listModels(ids: readonly string[]): object
  showModel(id: string): object
}

export interface PlayedDialect {
  name: string
  vendor: PlayedVendor
  /** What is answered by POST. */
  operations: readonly Operation[]
}

export interface Operation {
  /** Of a path without query. Azure's paths arrive as OpenAI's (`/v1/…`), with the deployment as the body's `model`. */
  path: RegExp
  /** Reads a body, which is parsed JSON or a form; throws UnreadableAsk where it is none of this dialect's. */
  read(body: unknown, path: string, query: URLSearchParams): Ask
}

/** A body that was read. The answer is made later, because some models refuse or think first. */
export interface Ask {
  model: string
  answer(): Answer
}

/** Frames go over the wire each as it is; `contentType` says what they are where they are no event stream. */
export type Answer =
  | { kind: 'document'; body: object }
  | { kind: 'stream'; frames: Iterable<string>; contentType?: string }
  | { kind: 'bytes'; body: Buffer; contentType: string }
  | { kind: 'text'; body: string }

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
