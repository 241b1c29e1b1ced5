/** A containerd of our own, without the Kubernetes plug-in. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { client } from './clients/index.ts'
import { startProcessGroup } from './process-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface Containerd extends AsyncDisposable {
  /** For ctr's `--address`. */
  readonly address: string
}

/** Faults: an `Error` with what containerd wrote, when it does not start. */
export async function startContainerd(): Promise<Containerd> {
  await using starting = new AsyncDisposableStack()
  const { folder } = starting.use(await temporaryFolder('containerd'))
  const address = join(folder, 'containerd.sock')
  const config = join(folder, 'config.toml')
  await writeFile(
    config,
    [
      'version = 2',
      `root = "${join(folder, 'root')}"`,
      `state = "${join(folder, 'state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `  address = "${address}"`,
      '[ttrpc]',
      `  address = "${address}.ttrpc"`,
    ].join('\n'),
  )
  const containerd = starting.use(
    startProcessGroup(client('containerd').path, ['--config', config], {
      PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
      HOME: folder,
      TMPDIR: folder,
    }),
  )
  await containerd.ready(() => answers(address), 30)
  const started = starting.move()
  return { address, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

const answers = (address: string): Promise<boolean> =>
  promisify(execFile)(client('ctr').path, ['--address', address, '--connect-timeout', '2s', 'version'], {
    timeout: 5000,
  }).then(
    () => true,
    () => false,
  )
