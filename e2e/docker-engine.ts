/** A docker engine of our own: rootful, without networks, and told of no registry to trust. */
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { client } from './clients/index.ts'
import { startProcessGroup } from './process-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface DockerEngine extends AsyncDisposable {
  /** For the client's `DOCKER_HOST`. */
  readonly address: string
}

/** Faults: an `Error` with what dockerd wrote, when it does not start. */
export async function startDockerEngine(): Promise<DockerEngine> {
  await using starting = new AsyncDisposableStack()
  // The path of a unix socket is limited to 107 bytes; this one stays short.
  const { folder } = starting.use(await temporaryFolder('docker'))
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
        '--storage-driver=vfs',
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

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    request({ socketPath, path: '/_ping', timeout: 2000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
      .on('error', () => resolve(false))
      .end()
  })
