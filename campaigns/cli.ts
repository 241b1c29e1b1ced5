/** `berth <command>` on the data of a program, as its operator types it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cliMain, type Program } from './program.ts'

export interface CommandResult {
  /** The signal's name where one ended it. */
  readonly code: number | string
  /** Both streams, as they came. */
  readonly output: string
}

export async function runBerth({ dataFlags }: Program, ...args: readonly string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [cliMain, ...args, ...dataFlags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code: code ?? signal ?? 1, output }
}

/** What `berth fsck` finds, if anything. */
export async function fsckProblems(program: Program): Promise<string[]> {
  const { code, output } = await runBerth(program, 'fsck')
  return code === 0 ? [] : [`berth fsck ends with ${code}: ${output.slice(-3_000)}`]
}

/**
 * From now on a manifest is refused unless everything that it names is there. The first registry takes it with some layers
 * missing otherwise, and what must be there would be anybody's guess.
 */
export async function refuseSparseManifests(program: Program): Promise<void> {
  const { code, output } = await runBerth(program, 'registry', 'berth', '--sparse-manifests', 'off')
  if (code !== 0) throw new Error(`berth registry ended with ${code}: ${output}`)
}
