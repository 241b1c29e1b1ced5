/** Looking for one client on this machine: a program, a file, or a kind of host name that resolves. */
import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { clientBinFolder, clientPackagesFolder } from './folders.ts'

export interface FoundClient {
  /** Of the program or file; of a host name, the address it resolves to. */
  readonly path: string
  /** Empty where the client does not tell its version. */
  readonly version: string
}

/** A program in our own folder of clients or on PATH. Without `versionArguments` it is never run. */
export const program =
  (name: string, ...versionArguments: readonly string[]) =>
  async (): Promise<FoundClient | undefined> => {
    const path = await findProgram(name)
    if (!path) return undefined
    return { path, version: versionArguments.length > 0 ? await versionOf(path, versionArguments) : '' }
  }

/** A script of an npm package that was installed for the tests alone. */
export const nodeProgram = (name: string, script: string) => async (): Promise<FoundClient | undefined> => {
  const folder = join(clientPackagesFolder, name, 'node_modules', name)
  const path = join(folder, script)
  if (!(await isThere(path, constants.R_OK))) return undefined
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
  return { path, version }
}

export const file = (path: string) => async (): Promise<FoundClient | undefined> =>
  (await isThere(path, constants.R_OK)) ? { path, version: '' } : undefined

export const hostName = (name: string) => async (): Promise<FoundClient | undefined> => {
  const address = await lookup(name).catch(() => undefined)
  return address && { path: address.address, version: '' }
}

export async function findProgram(name: string): Promise<string | undefined> {
  // The administrator's folders are not on every user's PATH (dockerd lives in one).
  const folders = [
    clientBinFolder,
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
  ]
  for (const folder of folders.filter((folder) => folder !== '')) {
    const path = join(folder, name)
    if (await isThere(path, constants.X_OK)) return path
  }
  return undefined
}

const isThere = (path: string, mode: number) =>
  access(path, mode).then(
    () => true,
    () => false,
  )

/** The first thing in the output that looks like a version. A program that cannot even say that counts as found. */
async function versionOf(path: string, versionArguments: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(path, versionArguments, { timeout: 10_000 }).catch(
    (error: { stdout?: string; stderr?: string }) => ({ stdout: error.stdout ?? '', stderr: error.stderr ?? '' }),
  )
  return /\d+\.\d+[\w.+~-]*/.exec(stdout + stderr)?.[0] ?? ''
}
