/** Where the programs of others are: peers and tools that generate load. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, constants, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram as findClient } from '../../e2e/clients/find.ts'
import { clientBinFolder, packedBinariesFolder } from '../../e2e/clients/folders.ts'
import { cacheFolder } from '../folders.ts'

export const toolsVariable = 'BERTH_BENCH_TOOLS'
const builtFolder = join(cacheFolder, 'bin')
const run = promisify(execFile)

/** In the folder that the variable names, among what was built or unpacked for us, or on PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  const own = [process.env[toolsVariable], builtFolder].filter((folder) => folder !== undefined && folder !== '')
  for (const folder of own) {
    const path = join(folder as string, name)
    if (await isExecutable(path)) return path
  }
  const found = await findClient(name)
  if (found !== undefined || !(await unpacked())) return found
  return findClient(name)
}

const isExecutable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

let unpacking: Promise<boolean> | undefined

/** The binaries that stand packed beside the repository where the project is developed. */
function unpacked(): Promise<boolean> {
  unpacking ??= (async () => {
    const unpack = join(packedBinariesFolder, 'unpack')
    if (!existsSync(unpack)) return false
    await mkdir(clientBinFolder, { recursive: true })
    await run(unpack, [clientBinFolder], { timeout: 120_000 })
    return true
  })()
  return unpacking
}

/** Builds a program with Go; its path, or why there is none. */
export async function goInstall(module: string, name: string): Promise<string | { readonly missing: string }> {
  const go = await findClient('go')
  if (go === undefined) return { missing: `not on PATH, and there is no Go to build ${module} with` }
  console.error(`go install ${module} (once, some minutes)`)
  try {
    const env = { ...process.env, GOBIN: builtFolder, GOFLAGS: '' }
    await run(go, ['install', module], { timeout: 600_000, maxBuffer: 64 << 20, env })
    return join(builtFolder, name)
  } catch (error) {
    return { missing: `go install ${module} failed: ${lastLine(error)}` }
  }
}

/** Installs a Debian package, as root only; undefined when it worked, else why not. */
export async function aptInstall(name: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return `Debian's package ${name} is not installed, and only root can do that`
  if (!existsSync('/usr/bin/apt-get')) return `there is no ${name}, and this is no Debian`
  console.error(`apt-get install ${name}`)
  const apt = (...argumentList: readonly string[]) =>
    run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...argumentList], {
      timeout: 600_000,
      maxBuffer: 64 << 20,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  const install = () => apt('install', '-y', '--no-install-recommends', name)
  try {
    await install().catch(async () => {
      await apt('update')
      await install()
    })
    return undefined
  } catch (error) {
    return `apt-get install ${name} failed: ${lastLine(error)}`
  }
}

/** The first version in what it prints; for a program that does not know its own, the beginning of its file's digest. */
export async function versionOf(path: string, ...versionArguments: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(path, versionArguments, { timeout: 10_000 }).catch(
    (error: { stdout?: string; stderr?: string }) => ({ stdout: error.stdout ?? '', stderr: error.stderr ?? '' }),
  )
  const version = versionArguments.length === 0 ? undefined : /\bv?\d+\.\d+\.\d+[\w.+~-]*/.exec(stdout + stderr)?.[0]
  if (version !== undefined) return version
  const digest = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  return `built from source, sha256:${digest.slice(0, 12)}…`
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr ?? '').trim().split('\n').at(-1) || message
}
