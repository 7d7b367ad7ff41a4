/** Successors for API keys, from a running Earthflow to whoever may see them: each is shown only once. */
import { z } from 'zod'
import { ApiRefused } from './api.ts'
import type { Terminal } from './apply.ts'
import type { Asked, RotateParts } from './rotate-keys.ts'
import type { SecretFile } from './secret-file.ts'
import { understood } from './understood.ts'

const rotatedKey = z.looseObject({
  tenant_id: z.string(),
  prefix: z.string(),
  name: z.string(),
  successor: z.string().nullable(),
  api_key: z.string().optional(),
})
const answer = z.looseObject({ rotated: z.array(rotatedKey), remaining: z.number().int(), created_before: z.string() })

/** Keys were made that nobody can ever see. */
export class Unwritten extends Error {}

type RotatedKey = z.output<typeof rotatedKey>

/** Asks until none is left. False where some are, and where it may not begin, since nobody would see the new keys. Throws what the API and the file throw. */
export async function rotateApiKeys(
  { tenantId, endAfterSeconds, output, isDryRun }: Extract<Asked, { what: 'keys' }>,
  terminal: Terminal,
  { api: connect, createFile, isTerminal }: Pick<RotateParts, 'api' | 'createFile' | 'isTerminal'>,
): Promise<boolean> {
  if (!isDryRun && output === undefined && !isTerminal) {
    terminal.error('New keys are shown once, and here nobody reads them: say --output FILE. Nothing was rotated.\n')
    return false
  }
  const api = connect()
  const file = output === undefined ? null : await opened(output, createFile, terminal)
  if (file === 'not made') return false
  const body = { ...(tenantId !== undefined && { tenant_id: tenantId }), revoke_old_after_seconds: endAfterSeconds, dry_run: isDryRun }
  let rotated = 0
  let remaining = 0
  try {
    for (let triesLeft = 1, createdBefore: string | undefined; ; ) {
      const asked = { ...body, ...(createdBefore !== undefined && { created_before: createdBefore }) }
      const said = understood(answer, await api.ask('POST', '/v1/ops/rotate-keys', { body: asked }))
      await tell(said.rotated, file)
      rotated += said.rotated.length
      createdBefore = said.created_before
      remaining = said.remaining
      if (isDryRun) terminal.out(`${rotated + said.remaining} keys would be rotated; nothing was changed: this was a dry run\n`)
      // Somebody else may have rotated just those it was about to.
      if (isDryRun || remaining === 0 || (said.rotated.length === 0 && triesLeft-- === 0)) break
    }
    if (isDryRun) return true
    const where = output === undefined ? '' : ` The new ones are in ${output}.`
    const end = endAfterSeconds === 0 ? 'are revoked' : `end in ${endAfterSeconds} s`
    if (rotated > 0) terminal.out(`${rotated} keys were rotated; the old ones ${end}.${where}\n`)
    else if (remaining === 0) terminal.out('no key to rotate\n')
    if (remaining > 0) terminal.error(`${remaining} keys were not rotated, because something else was changing them. Run it again.\n`)
    return remaining === 0
  } catch (error) {
    const known = rotated === 0 ? '' : `${rotated} keys were rotated${output === undefined ? '' : `, and the new ones are in ${output}`}`
    if (!isDryRun && mayBeDone(error)) terminal.error(`${known && `${known}. `}${lostAnswer(endAfterSeconds)}\n`)
    else if (known) terminal.error(`${known}; the others were not.\n`)
    throw error
  } finally {
    await file?.close()
  }

  async function tell(keys: readonly RotatedKey[], file: SecretFile | null): Promise<void> {
    if (keys.length === 0) return
    if (file) await append(file, keys)
    else
      terminal.out(
        keys.map(({ tenant_id, prefix, name, api_key }) => `${tenant_id}  ${prefix}  ${api_key === undefined ? '' : `→  ${api_key}  `}${name}\n`).join(''),
      )
  }
}

/** Whoever refuses says so, and with a file that cannot be written it is known what was lost; any other failure may have come after the keys were rotated. */
const mayBeDone = (error: unknown): boolean => !(error instanceof Unwritten) && !(error instanceof ApiRefused && error.status < 500)

const lostAnswer = (endAfterSeconds: number): string =>
  `Up to 1000 more keys may have been rotated, and their new ones are lost: the answer is missing. GET /v1/tenants/{id}/keys shows whose \`successor\` is set. ${
    endAfterSeconds === 0
      ? 'Their old ones are revoked: run it again now'
      : `Run it again before their old ones end, ${endAfterSeconds} s from now at the latest`
  }; lost keys get successors too.`

async function append(file: SecretFile, keys: readonly RotatedKey[]): Promise<void> {
  const lines = keys.map(({ tenant_id, prefix, name, successor, api_key }) => `${JSON.stringify({ tenant_id, prefix, name, successor, api_key })}\n`)
  try {
    await file.append(lines.join(''))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw new Unwritten(
      `The file cannot be written${code}: ${keys.length} new keys are lost. Run it again before the old ones end; the lost ones get successors.`,
    )
  }
}

/** Before anything is rotated. */
async function opened(path: string, createFile: RotateParts['createFile'], terminal: Terminal): Promise<SecretFile | 'not made'> {
  try {
    return await createFile(path)
  } catch (error) {
    terminal.error(`${error instanceof Error ? error.message : path} Nothing was rotated.\n`)
    return 'not made'
  }
}
