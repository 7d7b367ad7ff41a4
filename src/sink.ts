/** Where an answer is pushed. Taps and screens are sinks around a sink; with none, the upstream writes straight to the client's. */
export interface Sink {
  /** Lower-case names: name, value, name, value. */
  head(status: number, headers: string[]): void
  /** False asks the source to pause until the response drains. */
  data(chunk: Buffer): boolean
  end(): void
  /** The source broke: let go of what is held, decided or not by the rules, but say nothing more. */
  error(): void
}
export type Wrap = (inner: Sink) => Sink

export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}

/** Compressed, although nothing but `identity` was asked for. */
export const isEncoded = (headers: readonly string[]): boolean => !/^identity$/i.test(headerOf(headers, 'content-encoding') ?? 'identity')

export const isEventStream = (headers: readonly string[]): boolean => /^text\/event-stream *(?:;|$)/i.test(headerOf(headers, 'content-type') ?? '')
