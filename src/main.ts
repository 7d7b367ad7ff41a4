/** Runs a verb of the program. */
import { EXIT } from './cli/exits.ts'
import { usageOf, verbs } from './verbs.ts'

const [name = 'start', ...args] = process.argv.slice(2)
const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined

if (verb && !args.includes('--help')) {
  const code = await verb.run(args)
  if (code !== undefined) process.exitCode = code
} else if (verb) {
  process.stdout.write(await verb.usage(args))
} else if (name === 'help' || name === '--help' || name === '-h') {
  process.stdout.write(usageOf())
} else {
  process.stderr.write(`There is no verb ${JSON.stringify(name)}.\n\n${usageOf()}`)
  process.exitCode = EXIT.usage
}
