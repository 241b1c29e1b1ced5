import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../server/test/free-port.ts'
import { writeManifests, writeRepositories } from '../seed/oci-layout.ts'
import { peerOf } from './open-peer.ts'
import { findProgram, toolsVariable, versionOf } from './programs.ts'
import type { Registry, RegistryKind } from './registry.ts'
import { serverProcess } from './server-process.ts'

export const zot = zotKind('zot', false)

/** Told to sync what it writes: without that, only its cache's database is synced, and no blob. */
export const zotCommit = zotKind('zot, commit', true)

function zotKind(name: string, commit: boolean): RegistryKind {
  const kind: RegistryKind = {
    name,
    configuration: `auth off, gc off, dedupe on, commit ${commit ? 'on' : 'off (its default)'}, log level error`,
    syncs: commit ? 'all of it' : 'some of it',
    writesOnly: commit,
    // At a start it goes through everything once for each digest that it finds: with 20,000 of them that takes an hour of
    // its time. One that grew while it ran has never done so.
    filledRunning: true,
    async find() {
      const path = await findProgram('zot')
      if (path === undefined) return { missing: `no zot in $${toolsVariable} or on PATH` }
      return { version: await versionOf(path), open: (folder) => openZot(kind, path, folder, commit) }
    },
  }
  return kind
}

async function openZot(kind: RegistryKind, program: string, folder: string, commit: boolean): Promise<Registry> {
  const root = join(folder, 'store')
  await mkdir(root, { recursive: true })
  const port = await freePort()
  const file = join(folder, 'zot.json')
  const configuration = {
    distSpecVersion: '1.1.1',
    storage: { rootDirectory: root, gc: false, dedupe: true, commit },
    http: { address: '127.0.0.1', port: String(port), compat: ['docker2s2'] },
    log: { level: 'error' },
  }
  await writeFile(file, JSON.stringify(configuration))
  const server = serverProcess(port, program, ['serve', file])
  return peerOf(port, server, {
    kind,
    folder,
    seedManifests: async (many) => writeManifests(root, many, 'in the index'),
    seedRepositories: async (many) => writeRepositories(root, many),
  })
}
