/** Where a server's programs may come from, in the order tried. EARTHFLOW_TEST_SERVICES=found, apt or npm allows only that one. */
export const origins = ['found', 'apt', 'npm'] as const
export type Origin = (typeof origins)[number]

/** Throws a sentence when the variable holds something else. */
export function forcedOrigin(value: string | undefined): Origin | undefined {
  if (value === undefined || value === '') return undefined
  const origin = origins.find((each) => each === value)
  if (origin === undefined) throw new Error(`EARTHFLOW_TEST_SERVICES must be one of ${origins.join(', ')}, not "${value}"`)
  return origin
}

/** The first origin whose finder succeeds. A forced origin is the only one tried, where the server has it. Throws with every reason when none works. */
export async function firstThatWorks<T>(name: string, forced: Origin | undefined, finders: Partial<Record<Origin, () => Promise<T>>>): Promise<T> {
  const reasons: string[] = []
  for (const origin of origins) {
    const find = finders[origin]
    if (find === undefined || (forced !== undefined && finders[forced] !== undefined && origin !== forced)) continue
    try {
      return await find()
    } catch (error) {
      reasons.push(`${origin}: ${error instanceof Error ? error.message : error}`)
    }
  }
  throw new Error(`No ${name} can be had.\n  ${reasons.join('\n  ')}`)
}
