/** Whether a name fits a pattern in which `*` stands for anything, as in `gpt-*`. Linear in the name for each `*`. */
export function matchesPattern(pattern: string, name: string): boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return pattern === name
  const [head = '', ...rest] = parts
  const tail = rest.pop() ?? ''
  if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false
  let at = head.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0 || found + part.length > name.length - tail.length) return false
    at = found + part.length
  }
  return true
}

/** Where the name must not decide: providers take capital letters for small ones, and `models/gemini-…` for `gemini-…`. */
export const matchesAnySpelling = (pattern: string, name: string): boolean => matchesPattern(spelled(pattern), spelled(name))

const spelled = (name: string): string => name.toLowerCase().replace(/^models\//, '')
