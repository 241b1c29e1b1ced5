import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../server/test/free-port.ts'
import { writeManifests, writeRepositories } from '../seed/distribution-layout.ts'
import { peerOf } from './open-peer.ts'
import { aptInstall, findProgram, goInstall, versionOf } from './programs.ts'
import type { FoundProgram, Registry, RegistryKind } from './registry.ts'
import { serverProcess } from './server-process.ts'

const module = 'github.com/distribution/distribution/v3/cmd/registry@latest'

export const distribution: RegistryKind = {
  name: 'distribution',
  configuration: 'auth off, filesystem, no cache, access log off, log level error',
  syncs: 'all of it',
  async find() {
    const path = (await findProgram('registry')) ?? (await install())
    if (typeof path !== 'string') return path
    const found: FoundProgram = {
      version: await versionOf(path, '--version'),
      open: (folder) => openDistribution(path, folder),
    }
    return found
  },
}

/** Version 3 with Go; elsewhere what Debian has, which is version 2. */
async function install(): Promise<string | { readonly missing: string }> {
  const built = await goInstall(module, 'registry')
  if (typeof built === 'string') return built
  const packaged = await findProgram('docker-registry')
  if (packaged !== undefined) return packaged
  const reason = await aptInstall('docker-registry')
  return (
    (await findProgram('docker-registry')) ?? { missing: `${built.missing}; ${reason ?? 'not there after installing'}` }
  )
}

async function openDistribution(program: string, folder: string): Promise<Registry> {
  const root = join(folder, 'store')
  await mkdir(root, { recursive: true })
  const port = await freePort()
  const file = join(folder, 'registry.yml')
  // JSON is YAML.
  const configuration = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}` },
  }
  await writeFile(file, JSON.stringify(configuration))
  const server = serverProcess(port, program, ['serve', file], { environment: { OTEL_TRACES_EXPORTER: 'none' } })
  return peerOf(port, server, {
    kind: distribution,
    folder,
    seedManifests: async (many) => writeManifests(root, many),
    seedRepositories: async (many) => writeRepositories(root, many),
  })
}
