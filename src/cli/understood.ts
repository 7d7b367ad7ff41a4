import type { z } from 'zod'
import { ApiUnreachable } from './api.ts'

/** An answer of the API, as it should be. Throws ApiUnreachable for any other, such as one of another version. */
export function understood<Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> {
  const read = schema.safeParse(answer)
  if (read.success) return read.data
  throw new ApiUnreachable(
    `Earthflow answered something that this version does not understand (${read.error.issues[0].path.join('.') || 'all of it'}); compare versions.`,
  )
}
