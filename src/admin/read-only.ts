/** Members that only answers say. They may be sent, so that what a GET answered can be sent back, and are not looked at. */
import { z } from 'zod'

export const ignored = z.unknown().optional().meta({ description: 'Ignored: only answers say it.', readOnly: true })

/** Of a rule, as it is listed, as a write answers it, and as a preset shows it. */
export const readOnly = {
  id: ignored,
  tenant_id: ignored,
  preset: ignored,
  version: ignored,
  created_at: ignored,
  updated_at: ignored,
  diff: ignored,
  policy_version: ignored,
  examples: ignored,
}

export const withoutReadOnly = (body: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([name]) => !Object.hasOwn(readOnly, name)))
