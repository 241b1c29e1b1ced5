/** What podman, buildah and skopeo need in a home: a policy, and a folder with the certificate authority. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import type { Home } from './run.ts'

/** The folder for `--cert-dir`. Signatures are asked for nowhere, whatever the machine's own policy says. */
export async function prepareContainersHome(berth: Berth, home: Home): Promise<string> {
  await mkdir(home.path('.config', 'containers'), { recursive: true })
  await writeFile(
    home.path('.config', 'containers', 'policy.json'),
    JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }),
  )
  await mkdir(home.path('certs'))
  await copyFile(berth.ca, home.path('certs', 'ca.crt'))
  return home.path('certs')
}

/** Storage of its own for podman and buildah. `vfs` works on every file system and inside containers. */
export const ownStorage = (home: Home): readonly string[] => [
  ...['--root', home.path('storage'), '--runroot', home.path('run', 'storage')],
  ...['--storage-driver', 'vfs'],
]
