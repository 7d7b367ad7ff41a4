/** Whether a command that a deployment runs is one of the program. */
import { verbs } from '../../src/verbs.ts'

/** `args`: a verb and what follows it. A sentence for a verb that does not exist, and for each option that its help does not tell. */
export async function wrongCommand([name = '', ...args]: readonly string[]): Promise<string[]> {
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (verb === undefined) return [`${name} is no verb`]
  const usage = await verb.usage(args)
  return args.filter((arg) => arg.startsWith('--') && !new RegExp(`${arg}\\b`).test(usage)).map((arg) => `${name} has no ${arg}`)
}
