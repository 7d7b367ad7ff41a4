import type { Matcher } from '../matching/match.ts'

interface Group {
  start: number
  end: number
  length: number
  value: number
  /** The single dash or space between the previous group and this one; 0 where there is none. */
  before: number
}
const LENGTHS = [3, 2, 4]

/**
 * US social security numbers: three, two and four digits with single dashes or spaces between, numbers that were never issued left out (area 000, 666,
 * 900 and above, group 00, serial 0000), and not the middle of a longer chain. Nine digits in a row could be anything, so they are not taken for one.
 */
export function socialSecurityNumbers(leaf: number): Matcher {
  return (report) => {
    const groups: Group[] = []
    let open: Group | undefined
    let separator = 0 // follows the last group, and nothing yet follows it
    let at = 0

    const judge = (after: number): void => {
      if (groups.length < 3) return
      const [area, group, serial] = groups.slice(-3)
      if (area.length !== 3 || group.length !== 2 || serial.length !== 4) return
      const isJoint = (byte: number): boolean => byte !== 0 && (byte === group.before || byte === serial.before)
      if (isJoint(area.before) || isJoint(after)) return
      if (area.value === 0 || area.value === 666 || area.value >= 900 || group.value === 0 || serial.value === 0) return
      report(area.start, serial.end, leaf)
    }
    const close = (end: number): void => {
      if (!open) return
      open.end = end
      groups.push(open)
      if (groups.length > 3) groups.shift()
      open = undefined
    }
    const finish = (): void => {
      close(at)
      judge(0)
      groups.length = 0
      separator = 0
    }
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; i++) {
          if (!open && separator === 0) {
            while (i < to && (bytes[i] < 0x30 || bytes[i] > 0x39)) i++
            if (i === to) break
          }
          const byte = bytes[i]
          const isDigit = byte >= 0x30 && byte <= 0x39
          const position = at + i - from
          if (isDigit) {
            if (open) {
              open.length++
              if (open.length <= 4) open.value = open.value * 10 + byte - 0x30
              continue
            }
            judge(separator)
            open = { start: position, end: 0, length: 1, value: byte - 0x30, before: separator }
            separator = 0
          } else if (open && (byte === 0x2d || byte === 0x20)) {
            close(position)
            separator = byte
          } else {
            close(position)
            judge(0)
            groups.length = 0
            separator = 0
          }
        }
        at += to - from
      },
      finish,
      get decided() {
        if (!open && separator === 0) return at
        const chain = open ? [...groups, open].slice(-3) : groups
        for (let first = 0; first < chain.length; first++) {
          const fits = chain.slice(first).every((group, k) => (group === open ? group.length <= LENGTHS[k] : group.length === LENGTHS[k]))
          if (fits) return chain[first].start
        }
        return at
      },
    }
  }
}
