/** The framing of server-sent events (WHATWG HTML, section 9.2.6), on bytes and without a copy. Lines end in LF, CRLF or CR. */

const LF = 0x0a
const CR = 0x0d
const COLON = 0x3a
const SPACE = 0x20

/**
 * The offset after the empty line that ends the event in which `from` lies, or -1 if it has not come yet. To look again after more bytes came, begin
 * at most 3 bytes before the end of what was looked at. After a CR at the very end of `bytes` the event counts as ended: should the next byte be
 * the LF of the same line end, it becomes the first byte of the next frame, where it means nothing.
 */
export function nextFrame(bytes: Buffer, from: number): number {
  const { length } = bytes
  for (let i = from; i < length; i++) {
    const byte = bytes[i]
    if (byte !== LF && byte !== CR) continue
    const line = byte === CR && bytes[i + 1] === LF ? i + 2 : i + 1
    if (line >= length) return -1
    if (bytes[line] === LF) return line + 1
    if (bytes[line] === CR) return bytes[line + 1] === LF ? line + 2 : line + 1
    i = line - 1
  }
  return -1
}

/**
 * Where the payload of a frame's data line lies; null if it has none (a comment, a bare `event:`). 'several' if it has more than one: together, joined
 * by newlines, they are one payload, which lies nowhere in the bytes. A byte order mark at the start of the frame is passed over.
 */
export function frameData(frame: Buffer): { start: number; end: number } | 'several' | null {
  const { length } = frame
  let found: { start: number; end: number } | null = null
  for (let line = frame[0] === 0xef && frame[1] === 0xbb && frame[2] === 0xbf ? 3 : 0; line < length; ) {
    let end = line
    while (end < length && frame[end] !== LF && frame[end] !== CR) end++
    if (isData(frame, line, end)) {
      if (found !== null) return 'several'
      const value = Math.min(line + 5, end)
      found = { start: value < end && frame[value] === SPACE ? value + 1 : value, end }
    }
    line = end + 1 // of a CRLF the LF reads as an empty line, which says nothing
  }
  return found
}

/** Whether a payload says that an OpenAI stream is over. */
export const isDone = (bytes: Buffer, start: number, end: number): boolean => bytes.toString('latin1', start, Math.min(end, start + 16)).trimEnd() === '[DONE]'

/** Whether a last event ends every one of so many answers: what ends only one of several is followed by the others. */
export function endsAll(event: Buffer, answers: number): boolean {
  if (answers <= 1) return true
  const data = frameData(event)
  return data !== null && data !== 'several' && isDone(event, data.start, data.end)
}

/** The field `data`; a line that is nothing but `data` is that field, empty. */
function isData(frame: Buffer, start: number, end: number): boolean {
  return (
    frame[start] === 0x64 &&
    frame[start + 1] === 0x61 &&
    frame[start + 2] === 0x74 &&
    frame[start + 3] === 0x61 &&
    (end === start + 4 || (end > start + 4 && frame[start + 4] === COLON))
  )
}
