/** A docker engine of our own: rootful, without networks, and told of no registry to trust. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { client } from './clients/index.ts'
import { startProcessGroup } from './process-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface DockerEngine extends AsyncDisposable {
  /** For the client's `DOCKER_HOST`. */
  readonly address: string
}

export interface EngineOptions {
  /** `vfs` works everywhere and copies all of an image for each container; `best` is what the machine allows. */
  readonly storage?: 'vfs' | 'best'
}

/** Faults: an `Error` with what dockerd wrote, when it does not start. */
export async function startDockerEngine({ storage = 'vfs' }: EngineOptions = {}): Promise<DockerEngine> {
  await using starting = new AsyncDisposableStack()
  // The path of a unix socket is limited to 107 bytes; this one stays short.
  const { folder } = starting.use(await temporaryFolder('docker'))
  starting.defer(() => unmountAllBelow(folder))
  const socket = join(folder, 'docker.sock')
  const configFile = join(folder, 'daemon.json')
  await writeFile(configFile, '{}')
  const engine = starting.use(
    startProcessGroup(
      client('dockerd').path,
      [
        '--iptables=false',
        '--ip6tables=false',
        '--bridge=none',
        ...(storage === 'vfs' ? ['--storage-driver=vfs'] : []),
        `--data-root=${join(folder, 'data')}`,
        `--exec-root=${join(folder, 'exec')}`,
        `--pidfile=${join(folder, 'docker.pid')}`,
        // Instead of the machine's own, which may name registries to trust.
        `--config-file=${configFile}`,
        `--host=unix://${socket}`,
      ],
      { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: folder, TMPDIR: folder },
    ),
  )
  await engine.ready(() => answers(socket), 60)
  const started = starting.move()
  return { address: `unix://${socket}`, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** The first container with the machine's network leaves a mount behind. */
async function unmountAllBelow(folder: string): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  const points = mounts.split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const point of points.filter((path) => path.startsWith(`${folder}/`)).reverse()) {
    await promisify(execFile)('umount', ['--lazy', point])
  }
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    request({ socketPath, path: '/_ping', timeout: 2000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
      .on('error', () => resolve(false))
      .end()
  })
