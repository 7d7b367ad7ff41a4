/** Reads much, piece by piece, as it was at one moment. */
import type { Database, Tx } from './connect.ts'

/**
 * Yields what `pieces` makes in a read-only transaction on a connection of its own: all its statements see the same. It is rolled back when the reader
 * leaves, or after `msMax`; then it rejects.
 */
export async function* inSnapshot<Piece>(
  database: Pick<Database, 'apart'>,
  msMax: number,
  pieces: (tx: Tx) => AsyncIterable<Piece>,
): AsyncGenerator<Piece, void> {
  const { readable, writable } = new TransformStream<Piece, Piece>()
  const signal = AbortSignal.timeout(msMax)
  const done = database.apart((db) =>
    db.transaction((tx) => ReadableStream.from(pieces(tx)).pipeTo(writable, { signal }), { isolationLevel: 'repeatable read', accessMode: 'read only' }),
  )
  done.catch((error: unknown) => writable.abort(error).catch(() => {})) // who waits for a first piece must hear of it
  try {
    yield* readable
  } finally {
    await done.catch(() => {})
  }
  await done
}
