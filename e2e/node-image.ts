/**
 * Stands in for the official Node image where no public registry can be reached: the Node that runs this test, the npm of
 * this machine, and the few programs and libraries of its own that an image of Berth is built and run with.
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './clients/find.ts'
import type { Home } from './run.ts'

/** What a slim Debian has, as far as a Dockerfile of ours or a test uses it. */
const programs = ['sh', 'env', 'id', 'install', 'chown', 'chmod', 'ln', 'rm', 'cat', 'touch']

/** Writes the image's files into a new folder and returns it. Symbolic links are followed: every file is a plain one. */
export async function writeNodeImage(home: Home): Promise<string> {
  const root = home.path('node-image')
  const put = async (source: string, target = source) => {
    const path = join(root, target)
    await mkdir(dirname(path), { recursive: true })
    await copyFile(await realpath(source), path)
  }
  const found = await Promise.all(programs.map(async (name) => ({ name, path: await findProgram(name) })))
  for (const { name, path } of found) {
    if (path === undefined) throw new Error(`this machine has no ${name}`)
    await put(path, `/usr/bin/${name}`)
  }
  await put(process.execPath, '/usr/local/bin/node')
  const binaries = [process.execPath, ...found.map(({ path }) => path!)]
  for (const library of await librariesOf(binaries)) await put(library)
  for (const folder of ['bin', 'tmp', 'home/node', 'root', 'usr/local/lib/node_modules']) {
    await mkdir(join(root, folder), { recursive: true })
  }
  await put(found[0]!.path!, '/bin/sh')
  await cp(await npmFolder(), join(root, 'usr/local/lib/node_modules/npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  await mkdir(join(root, 'etc'), { recursive: true })
  const trust = '/etc/ssl/certs/ca-certificates.crt'
  if (existsSync(trust)) await put(trust)
  const users = ['root:x:0:0:root:/root:/bin/sh', 'node:x:1000:1000::/home/node:/bin/sh', '']
  await writeFile(join(root, 'etc/passwd'), users.join('\n'))
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n')
  await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  execFileSync('chmod', ['1777', join(root, 'tmp')])
  return root
}

/** Every shared library that the programs load, by the path at which they look for it. */
async function librariesOf(binaries: readonly string[]): Promise<ReadonlySet<string>> {
  const { stdout } = await promisify(execFile)('ldd', [...binaries])
  return new Set(Array.from(stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm), (match) => match[1]!))
}

/** The npm that runs the tests, else the one on the PATH. */
async function npmFolder(): Promise<string> {
  const own = process.env.npm_execpath
  const cli = own?.endsWith('npm-cli.js') ? own : await findProgram('npm')
  if (cli === undefined) throw new Error('this machine has no npm')
  return dirname(dirname(await realpath(cli)))
}
