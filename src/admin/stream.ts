/** An answer that is sent while it is still being read: its reader sets the pace, and an early end is never mistaken for the end. */
import { within } from '../db/unavailable.ts'

/** How long the next piece may take to be made. */
const PIECE_MS = 15_000
/** How long a reader may take no piece before it is given up. */
const STALL_MS = 60_000

/**
 * The first piece is made before this resolves, and what goes wrong with it is thrown: the answer can still be "no" then. What goes wrong later is told
 * to `onCut` and cuts the stream. Two pieces are held at once at most.
 */
export async function streamOf(pieces: AsyncIterable<string>, onCut: (error: unknown) => void): Promise<ReadableStream<Uint8Array>> {
  const iterator = pieces[Symbol.asyncIterator]()
  const next = (): Promise<IteratorResult<string>> => within(PIECE_MS, iterator.next())
  let ready = await next()
  let stalled: NodeJS.Timeout | undefined
  const end = async (): Promise<void> => {
    clearTimeout(stalled)
    await iterator.return?.()
  }
  return new ReadableStream(
    {
      async pull(controller) {
        clearTimeout(stalled)
        if (ready.done) return controller.close()
        controller.enqueue(Buffer.from(ready.value))
        try {
          ready = await next()
        } catch (error) {
          onCut(error)
          return controller.error(error)
        }
        stalled = setTimeout(() => {
          controller.error(new Error(`Nobody read for ${STALL_MS} ms.`))
          end().catch(onCut)
        }, STALL_MS).unref()
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  )
}
