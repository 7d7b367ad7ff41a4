const EVERY_MS = 60_000

/**
 * For what may happen as often as strangers like: the first time is told at once, with what is known of it, and how often it happened since then a minute
 * later. So there are at most two lines a minute.
 */
export function createRareLine(tell: (fields: object, times: number) => void, everyMs = EVERY_MS): (fields: object) => void {
  let isQuiet = false
  let times = 0
  const end = (): void => {
    isQuiet = false
    if (times > 0) tell({}, times)
    times = 0
  }
  return (fields) => {
    if (isQuiet) {
      times++
      return
    }
    isQuiet = true
    setTimeout(end, everyMs).unref()
    tell(fields, 1)
  }
}
