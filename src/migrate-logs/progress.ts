/** What a person at a terminal sees: a bar that moves, and what is said between. Where there is no terminal, there is no bar. */

export interface Screen {
  write(text: string): void
  isTerminal: boolean
}

const EVERY_MS = 100
const BAR_CHARACTERS = 30
const CLEAR = '\r\u001B[K'

/** `total` is in bytes; null where it is not known. */
export function createProgress(screen: Screen, { total, now }: { total: number | null; now: () => number }) {
  let drawnAt = Number.NEGATIVE_INFINITY
  let isDrawn = false
  const clear = (): void => {
    if (isDrawn) screen.write(CLEAR)
    isDrawn = false
  }
  return {
    show({ bytes, lines, rejected }: { bytes: number; lines: number; rejected: number }): void {
      if (!screen.isTerminal || now() - drawnAt < EVERY_MS) return
      drawnAt = now()
      isDrawn = true
      const part = total === null || total === 0 ? null : Math.min(1, bytes / total)
      const done = Math.floor((part ?? 0) * BAR_CHARACTERS)
      const bar = part === null ? '' : `[${'#'.repeat(done)}${'-'.repeat(BAR_CHARACTERS - done)}] ${Math.floor(part * 100)} %  `
      screen.write(`${CLEAR}${bar}${lines} lines, ${rejected} rejected`)
    },
    say(sentence: string): void {
      clear()
      screen.write(`${sentence}\n`)
    },
    clear,
  }
}
