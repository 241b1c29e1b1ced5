import { mkdir } from 'node:fs/promises'
import { freePort } from '../../server/test/free-port.ts'
import { writeManifests, writeRepositories } from '../seed/oci-layout.ts'
import { peerOf } from './open-peer.ts'
import { findProgram, toolsVariable, versionOf } from './programs.ts'
import type { Registry, RegistryKind } from './registry.ts'
import { serverProcess } from './server-process.ts'

export const olareg: RegistryKind = {
  name: 'olareg',
  configuration: 'auth off, gc off',
  syncs: 'nothing',
  async find() {
    const path = await findProgram('olareg')
    if (path === undefined) return { missing: `no olareg in $${toolsVariable} or on PATH` }
    return { version: await versionOf(path), open: (folder) => openOlareg(path, folder) }
  },
}

async function openOlareg(program: string, folder: string): Promise<Registry> {
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const flags = ['--dir', folder, '--addr', '127.0.0.1', '--port', String(port), '--gc-frequency', '-1s']
  const server = serverProcess(port, program, ['serve', ...flags])
  return peerOf(port, server, {
    kind: olareg,
    folder,
    seedManifests: async (many) => writeManifests(folder, many, 'index of their own'),
    seedRepositories: async (many) => writeRepositories(folder, many),
  })
}
