/** The programs the bench needs: ours are compiled, others are found, or unpacked from the distribution's packages. */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { unpackPackage } from '../../test/services/debian.ts'
import { runCommand } from '../../test/services/run-command.ts'

const sources = import.meta.dirname

export interface Tools {
  load: string
  provider: string
  /** Whether the load generator speaks TLS; where there is no OpenSSL to compile with it does not. */
  speaksTls: boolean
}

/** Compiles the load generator and the fake provider into the folder. */
export async function compileTools(folder: string): Promise<Tools> {
  const compiler = (await find('gcc')) ?? (await find('cc')) ?? (await install('gcc', 'libc6-dev'))
  if (compiler === null) throw new Error('The bench needs a C compiler: install gcc and the headers of the C library.')
  const load = join(folder, 'lg')
  const provider = join(folder, 'upstream')
  const compile = (source: string, output: string, more: readonly string[] = []): Promise<string> =>
    runCommand(compiler, ['-O2', '-o', output, join(sources, source), ...more])
  const withTls = (): Promise<boolean> =>
    compile('lg.c', load, ['-DWITH_TLS', '-lssl', '-lcrypto']).then(
      () => true,
      () => false,
    )
  const speaksTls = (await withTls()) || ((await install('libssl-dev')) !== null && (await withTls()))
  if (!speaksTls) await compile('lg.c', load)
  await compile('upstream.c', provider)
  return { load, provider, speaksTls }
}

/** The first of the packages, once they are installed; null where that cannot be done: only root can, where there is apt. */
async function install(...packages: readonly [string, ...string[]]): Promise<string | null> {
  if (process.getuid?.() !== 0 || !(await find('apt-get'))) return null
  return runCommand('apt-get', ['install', '-y', '--no-install-recommends', ...packages]).then(
    () => packages[0],
    () => null,
  )
}

/** The machine's own program, else the distribution's, unpacked and not installed. Throws where neither can be had. */
export async function bringProgram(name: string): Promise<{ program: string; env: NodeJS.ProcessEnv }> {
  const found = await find(name)
  if (found) return { program: found, env: process.env }
  try {
    const { root, env } = await unpackPackage(name)
    const program = join(root, 'usr', 'sbin', name)
    await runCommand(program, ['-v'], { env })
    return { program, env }
  } catch (cause) {
    throw new Error(`no ${name} on PATH, and the distribution’s package could not be unpacked; install ${name}`, { cause })
  }
}

async function find(name: string): Promise<string | null> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return null
}
