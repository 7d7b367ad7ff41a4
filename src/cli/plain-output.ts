/** Standard output and standard error of what goes on when nobody looks any more: whoever looked may leave in the middle of a deployment. */
import { EXIT } from './exits.ts'

let isLost = false
for (const stream of [process.stdout, process.stderr])
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') isLost = true
  })
// A file that was to hold all of it does not.
process.on('exit', () => {
  if (isLost && !process.exitCode) process.exitCode = EXIT.failed
})

export const plainOutput = { out: (text: string) => void process.stdout.write(text), error: (text: string) => void process.stderr.write(text) }
