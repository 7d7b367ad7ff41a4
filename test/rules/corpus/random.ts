/** Numbers that only look random: the same seed gives the same texts on every machine. */
export interface Random {
  /** From the first to the last, both included. */
  int(first: number, last: number): number
  pick<T>(items: readonly T[]): T
  /** So many characters of these. */
  from(characters: string, length: number): string
  digits(length: number): string
  hex(length: number): string
  times<T>(count: number, make: (index: number) => T): T[]
  lines(count: number, make: (index: number) => string): string
}

const DIGITS = '0123456789'

/** Mulberry32, which is short and good enough for texts. */
export function random(seed: number): Random {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (first: number, last: number): number => first + Math.floor(next() * (last - first + 1))
  const pick = <T>(items: readonly T[]): T => items[int(0, items.length - 1)]
  const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
  const from = (characters: string, length: number): string => times(length, () => characters[int(0, characters.length - 1)]).join('')
  return {
    int,
    pick,
    from,
    times,
    digits: (length) => from(DIGITS, length),
    hex: (length) => from('0123456789abcdef', length),
    lines: (count, make) => times(count, make).join('\n'),
  }
}
