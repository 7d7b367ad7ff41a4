/** Watching a text that may arrive in pieces. The same watchers read whole prompts and streamed replies, so both give the same answer. */

/** Positions count decoded bytes from the beginning of the text; `leaf` is an index into the leaves of the policy that found it. */
export interface Span {
  start: number
  end: number
  leaf: number
}
export type Report = (start: number, end: number, leaf: number) => void

export interface Watch {
  feed(bytes: Buffer, from: number, to: number): void
  /** The text ends here: whatever is still open is decided now. What is fed afterwards is another text, whose positions count on. */
  finish(): void
  /** Nothing that is still open begins before this position. It bounds how much of a stream must be held. */
  readonly decided: number
}
export type Matcher = (report: Report) => Watch

export function together(matchers: readonly Matcher[]): Matcher | null {
  const [only, ...more] = matchers
  if (!only) return null
  if (more.length === 0) return only
  return (report) => {
    const watches = matchers.map((matcher) => matcher(report))
    return {
      feed(bytes, from, to) {
        for (const watch of watches) watch.feed(bytes, from, to)
      },
      finish() {
        for (const watch of watches) watch.finish()
      },
      get decided() {
        let least = watches[0].decided
        for (const { decided } of watches) if (decided < least) least = decided
        return least
      },
    }
  }
}

/** Keeps spans in order and merges those that overlap. The merged span takes the lowest leaf: who reported first depends on how a stream was cut. */
export function insert(spans: Span[], start: number, end: number, leaf: number): void {
  let i = spans.length
  while (i > 0 && spans[i - 1].end > start) {
    const other = spans[i - 1]
    if (other.start < end) {
      start = Math.min(start, other.start)
      end = Math.max(end, other.end)
      leaf = Math.min(leaf, other.leaf)
      spans.splice(i - 1, 1)
    }
    i--
  }
  spans.splice(i, 0, { start, end, leaf })
}

/** The same for spans that are all known, in any order: sorted and merged in one sweep. The given spans are left as they are. */
export function merge(spans: readonly Span[]): Span[] {
  const merged: Span[] = []
  let last: Span | undefined
  for (const span of spans.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (last && span.start < last.end) {
      if (span.end > last.end) last.end = span.end
      if (span.leaf < last.leaf) last.leaf = span.leaf
    } else merged.push((last = { ...span }))
  }
  return merged
}

/** Inserts many spans at once, in any order. */
export function insertAll(spans: Span[], more: readonly Span[]): void {
  const merged = merge([...spans, ...more])
  spans.length = 0
  for (const span of merged) spans.push(span)
}
