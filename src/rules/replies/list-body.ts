import { NONE } from '../../dialects/bodies/json.ts'
import { createJsonReader } from '../../dialects/bodies/json-reader.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { firstByte, type Judgement, readReply } from './judgement.ts'
import { StreamScreen } from './stream-screen.ts'
import { TURN_BYTES } from './turns.ts'

const OPEN = 0x5b

/** Whether a reply in one piece is a stream of this dialect, sent as one list of its events. */
export const isListOfEvents = (body: Buffer, dialect: Dialect): boolean => dialect.listsEvents === true && firstByte(body) === OPEN

/** Judges and cuts such a list as the stream it is, because its texts go on from item to item. Yields where others may have their turn. Throws where a rule stops it or it cannot be read. */
export function* cutList(body: Buffer, status: number, dialect: Dialect, judgement: Judgement): Generator<undefined, Buffer> {
  const json = readReply(createJsonReader(), body)
  const parts: Buffer[] = []
  const data = (bytes: Buffer): boolean => parts.push(bytes) > 0
  const screen = new StreamScreen(dialect, judgement, { head() {}, data, end() {}, error() {} })
  screen.head(status, [])
  let at = 0
  let turn = at
  for (let item = json.firstItem(0); item !== NONE; item = json.next(item)) {
    const { start, end } = json.rangeOf(item)
    screen.event(body.subarray(at, end), { start: start - at, end: end - at })
    at = end
    if (at - turn < TURN_BYTES) continue
    turn = at
    yield
  }
  screen.end()
  const output = Buffer.concat([...parts, body.subarray(at)])
  return output.equals(body) ? body : output
}
