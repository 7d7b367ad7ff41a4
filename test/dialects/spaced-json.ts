/** Random JSON bodies as clients write them: any spacing, any escapes. */
import fc from 'fast-check'

export interface Spaced {
  text: string
  /** Every string value, in the order of the bytes. */
  values: string[]
  /** Every member's name, in the order of the bytes. */
  names: string[]
}

const word = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => text.isWellFormed())
const longWord = fc.string({ unit: 'binary', minLength: 100, maxLength: 400 }).filter((text) => text.isWellFormed())
/** No format has a name that begins like this. */
const unknownName = word.map((text) => `?${text}`)
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('leaf'), tie('array'), tie('object')),
  leaf: fc.oneof(word, longWord, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.boolean(), fc.constant(null)),
  array: fc.array(tie('value'), { maxLength: 5 }),
  object: fc
    .uniqueArray(fc.tuple(unknownName, tie('value')), { selector: ([name]) => name, maxLength: 20 })
    .map((members) => new Map(members as [string, unknown][])),
}))

export const spacedJson = (): fc.Arbitrary<Spaced> =>
  fc.tuple(value, fc.infiniteStream(fc.nat(11))).map(([root, dice]) => {
    const values: string[] = []
    const names: string[] = []
    const roll = (): number => dice.next().value
    const space = (): string => ['', '', '', ' ', '\n', '\t', '\r\n', '  ', '', '', '', ' '][roll()]
    const quote = (text: string): string => {
      const style = roll()
      const plain = JSON.stringify(text)
      if (style > 3) return plain
      // Escapes nobody needs: \u for some characters, a slash written \/.
      return `"${plain.slice(1, -1).replace(/\\u[0-9a-f]{4}|\\.|\/|[^\\]/gu, (char) => {
        if (char === '/') return style === 0 ? '\\/' : char
        if (char.startsWith('\\') || roll() > 2) return char
        return [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
      })}"`
    }
    const write = (item: unknown): string => {
      if (typeof item === 'string') {
        values.push(item)
        return quote(item)
      }
      if (Array.isArray(item)) return `[${space()}${item.map((one) => `${space()}${write(one)}${space()}`).join(',')}]`
      if (item instanceof Map) {
        const members = [...item].map(([name, one]) => {
          names.push(name)
          return `${space()}${quote(name)}${space()}:${space()}${write(one)}${space()}`
        })
        return `{${space()}${members.join(',')}}`
      }
      return JSON.stringify(item)
    }
    const text = `${space()}${write(root)}${space()}`
    return { text, values, names }
  })
