/** Shapes that several resources share. */
import { z } from 'zod'

const LIMIT_MAX = 1_000
/** Deeper pages would make the database read and throw away everything before them. */
const OFFSET_MAX = 1_000_000
export const NAME_CHARACTERS_MAX = 200
const NAMES_MAX = 100

/** In a query. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `Must be a whole number from ${min} to ${max}.`)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .meta({ type: 'integer', minimum: min, maximum: max })

/** `limit` and `offset` of a list. */
export const pageQuery = (limitDefault = 50) => ({
  limit: wholeNumber(1, LIMIT_MAX).default(limitDefault),
  offset: wholeNumber(0, OFFSET_MAX).default(0),
})

/** `{<name>: […], total, limit, offset}` */
export const listOf = <Name extends string, Item extends z.ZodType>(name: Name, item: Item) =>
  z.strictObject({ [name]: z.array(item), total: z.number().int(), limit: z.number().int(), offset: z.number().int() } as {
    [key in Name]: z.ZodArray<Item>
  } & { total: z.ZodNumber; limit: z.ZodNumber; offset: z.ZodNumber })

export const flag = z
  .enum(['true', 'false'])
  .transform((word) => word === 'true')
  .meta({ type: 'boolean' })

/** A name for people: no control characters, no blanks at its ends. */
export const label = z
  .string()
  .min(1)
  .max(NAME_CHARACTERS_MAX)
  .regex(/^[^\p{Cc}]+$/u, 'Must not contain control characters.')
  .refine((text) => text.trim() === text, 'Must not begin or end with a blank.')

const SENTENCE_CHARACTERS_MAX = 500

/** What somebody says of what they do, for the record. */
export const sentence = z
  .string()
  .max(SENTENCE_CHARACTERS_MAX)
  .regex(/^[^\p{Cc}]*[^\p{Cc}\s][^\p{Cc}]*$/u, 'Must say something, without control characters.')

/** The years that JavaScript and PostgreSQL write in the same way, and in which something may have happened. */
const MOMENT_MIN = Date.UTC(1970, 0, 1)
const MOMENT_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const toMoment = (shape: z.ZodType<string, string>) =>
  shape
    .transform((text) => new Date(text))
    .refine((date) => date.getTime() >= MOMENT_MIN && date.getTime() <= MOMENT_MAX, 'Must lie in the years 1970 to 9999.')

/** A date and time with its zone, as RFC 3339 writes it. */
export const moment = toMoment(z.iso.datetime({ offset: true }))
/** The same or a date alone, which is its first moment in UTC. */
export const momentOrDay = toMoment(z.union([z.iso.datetime({ offset: true }), z.iso.date()], 'Must be a date, or a date and time with its zone.'))
export const timestamp = z.iso.datetime()

/** A pattern of model names, such as `gpt-*`. */
export const modelPattern = z.string().regex(/^[\x21-\x7e]{1,200}$/, 'Must be 1 to 200 printable characters without blanks.')
export const modelPatterns = z.array(modelPattern).min(1).max(NAMES_MAX)

/** Where an upstream lies, as its owner calls it. */
export const regionName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'Must be small letters, digits and hyphens.')

export const iso = (date: Date | null): string | null => date?.toISOString() ?? null
