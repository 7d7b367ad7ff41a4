/** A unit of systemd as it is written: sections with directives, each of which may stand several times. */
export type Unit = Record<string, Record<string, string[]>>

/** Reads one. Throws where a line is neither a section, a directive, a comment nor empty. */
export function readUnit(text: string): Unit {
  const unit: Unit = {}
  let section: Record<string, string[]> | undefined
  for (const line of text.split('\n')) {
    if (line === '' || /^[#;]/.test(line)) continue
    const name = /^\[(\w+)\]$/.exec(line)?.[1]
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (name !== undefined) section = unit[name] ??= {}
    else if (key !== undefined && section) (section[key] ??= []).push(value!)
    else throw new Error(`This is no line of a unit: ${line}`)
  }
  return unit
}
