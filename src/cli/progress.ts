/** What a person at a terminal sees of something long: a bar that moves, and what is said between. Where there is no terminal, there is no bar. */

export interface Screen {
  write(text: string): void
  isTerminal: boolean
}

export interface Progress {
  /** `total`: null where it is not known. */
  show(what: string, done: number, total: number | null): void
  /** A line that stays. */
  say(sentence: string): void
  clear(): void
}

const EVERY_MS = 100
const BAR_CHARACTERS = 30
const CLEAR = '\r\u001B[K'

export function createProgress({ write, isTerminal }: Screen, now: () => number = Date.now): Progress {
  let drawnAt = Number.NEGATIVE_INFINITY
  let isDrawn = false
  const clear = (): void => {
    if (isDrawn) write(CLEAR)
    isDrawn = false
  }
  return {
    show(what, done, total) {
      if (!isTerminal || now() - drawnAt < EVERY_MS) return
      drawnAt = now()
      isDrawn = true
      const part = total === null || total === 0 ? null : Math.min(1, done / total)
      const full = Math.floor((part ?? 0) * BAR_CHARACTERS)
      const bar = part === null ? '' : `[${'#'.repeat(full)}${'-'.repeat(BAR_CHARACTERS - full)}] ${Math.floor(part * 100)} %  `
      write(`${CLEAR}${bar}${what}`)
    },
    say(sentence) {
      clear()
      write(`${sentence}\n`)
    },
    clear,
  }
}
