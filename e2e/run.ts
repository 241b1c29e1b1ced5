/** A user's fresh home folder, and commands run in it. */
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { temporaryFolder } from './temporary-folder.ts'

export interface RunOptions {
  /** Written to the command's standard input, which is closed afterwards. Without it the input is empty. */
  readonly input?: string | Iterable<Uint8Array>
  /** Added to the home's own variables; nothing is taken over from this process but PATH. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly timeoutSeconds?: number
  /** Where standard output goes, byte for byte, instead of the result's `stdout`. */
  readonly outputFile?: string
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  /** Both, for messages that move from one to the other between versions of a client. */
  readonly output: string
  readonly exitCode: number | undefined
  readonly seconds: number
}

export interface Home extends AsyncDisposable {
  readonly folder: string
  path(...names: readonly string[]): string
  /** Runs a command that must succeed. */
  run(command: string, argumentList: readonly string[], options?: RunOptions): Promise<RunResult>
  /** Runs a command that must fail by itself, within its time. */
  runFailing(command: string, argumentList: readonly string[], options?: RunOptions): Promise<RunResult>
}

/**
 * An empty folder under the system's one for temporary files, removed on disposal.
 * secrets: texts that no failure message may show.
 */
export async function freshHome(options: { secrets?: readonly string[] } = {}): Promise<Home> {
  const { folder, [Symbol.asyncDispose]: dispose } = await temporaryFolder('home')
  const path = (...names: readonly string[]) => join(folder, ...names)
  await mkdir(path('tmp'))
  await mkdir(path('run'), { mode: 0o700 })
  const env = {
    PATH: process.env.PATH ?? '',
    LANG: 'C.UTF-8',
    HOME: folder,
    TMPDIR: path('tmp'),
    XDG_CONFIG_HOME: path('.config'),
    XDG_CACHE_HOME: path('.cache'),
    XDG_DATA_HOME: path('.local', 'share'),
    XDG_RUNTIME_DIR: path('run'),
    DOCKER_CONFIG: path('.docker'),
  }
  const runEither = (command: string, argumentList: readonly string[], own: RunOptions) =>
    runCommand(command, argumentList, { ...own, cwd: own.cwd ?? folder, env: { ...env, ...own.env } })
  const failure = (what: string, command: string, argumentList: readonly string[], result: RunResult) =>
    new Error(
      redact(
        `${what}: ${[command, ...argumentList].join(' ')}\nexit code ${result.exitCode ?? 'none (ended by a signal)'} after ${result.seconds.toFixed(1)} s\n${lastPart(result.output)}`,
        options.secrets ?? [],
      ),
    )
  return {
    folder,
    path,
    async run(command, argumentList, own = {}) {
      const result = await runEither(command, argumentList, own)
      if (result.exitCode !== 0) throw failure('the command failed', command, argumentList, result)
      return result
    },
    async runFailing(command, argumentList, own = {}) {
      const result = await runEither(command, argumentList, own)
      if (result.exitCode === 0) throw failure('the command should have failed', command, argumentList, result)
      if (result.exitCode === undefined) throw failure('the command hung', command, argumentList, result)
      return result
    },
    [Symbol.asyncDispose]: dispose,
  }
}

async function runCommand(
  command: string,
  argumentList: readonly string[],
  options: RunOptions & { readonly env: Readonly<Record<string, string>> },
): Promise<RunResult> {
  const began = performance.now()
  const child = spawn(command, argumentList, {
    cwd: options.cwd,
    env: options.env,
    timeout: (options.timeoutSeconds ?? 120) * 1000,
    killSignal: 'SIGKILL',
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  const both: Buffer[] = []
  child.stderr.on('data', (bytes: Buffer) => {
    stderr.push(bytes)
    both.push(bytes)
  })
  const written = options.outputFile
    ? pipeline(child.stdout, createWriteStream(options.outputFile))
    : void child.stdout.on('data', (bytes: Buffer) => {
        stdout.push(bytes)
        both.push(bytes)
      })
  const input = typeof options.input === 'string' ? [Buffer.from(options.input)] : (options.input ?? [])
  // A command that ends without reading its input is judged by its exit code, not by our broken pipe.
  const fed = pipeline(Readable.from(input), child.stdin).catch(() => {})
  const exitCode = await new Promise<number | undefined>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? undefined))
  })
  await Promise.all([fed, written])
  const text = (parts: readonly Buffer[]) => Buffer.concat(parts).toString('utf8')
  return {
    stdout: text(stdout),
    stderr: text(stderr),
    output: text(both),
    exitCode,
    seconds: (performance.now() - began) / 1000,
  }
}

const redact = (text: string, secrets: readonly string[]) =>
  secrets.reduce((result, secret) => result.replaceAll(secret, '<secret>'), text)

/** Long output tells its story at the end. */
const lastPart = (text: string, characters = 6000) =>
  text.length > characters ? `…${text.slice(-characters)}` : text.trimEnd()
