/** Runs a verb of the program. */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { EXIT } from './cli/exits.ts'
import { usageOf, verbs } from './verbs.ts'

// V8 makes objects of which most outlived a collection old from birth. Of a call's rows, that is so while the database has them, and each dead old object keeps
// what it knows of its call alive until the next full collection: 10 KB of each call were copied twice for nothing, in stops of 16 ms.
setFlagsFromString('--no-allocation-site-pretenuring')
// What was compiled once is loaded in a third of the time. Where NODE_COMPILE_CACHE names a folder, that is used, for this file too; one that cannot be written is
// as good as none.
enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'earthflow', 'compiled'))

const [name = 'start', ...args] = process.argv.slice(2)
/** Loaded late: a process that serves has an output of its own. */
const shown = async (stream: 'out' | 'error', text: string): Promise<void> => (await import('./cli/plain-output.ts')).plainOutput[stream](text)
const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined

if (verb && !args.includes('--help')) {
  const code = await verb.run(args)
  if (code !== undefined) process.exitCode = code
} else if (verb) {
  await shown('out', await verb.usage(args))
} else if (name === 'help' || name === '--help' || name === '-h') {
  await shown('out', usageOf())
} else {
  await shown('error', `There is no verb ${JSON.stringify(name)}.\n\n${usageOf()}`)
  process.exitCode = EXIT.usage
}
