import { join } from 'node:path'
import type { Machine } from './machine.ts'
import { ensureFile, quoted, Skipped, type TrustTarget } from './target.ts'

/** docker, podman and their kin read `<folder>/<host:port>/ca.crt` at every request: no restart is needed. */
function certsFolderTarget(
  name: string,
  programs: readonly string[],
  folderOf: (machine: Machine) => string,
): TrustTarget {
  return {
    name,
    commands: ({ file, registries }, machine) =>
      registries.map((registry) => {
        const folder = `${folderOf(machine)}/${registry}`
        const sudo = folder.startsWith('/etc/') ? 'sudo ' : ''
        return `${sudo}mkdir -p ${quoted(folder)} && ${sudo}cp ${quoted(file)} ${quoted(`${folder}/ca.crt`)}`
      }),
    apply({ pem, registries }, machine) {
      if (!programs.some((program) => machine.has(program))) throw new Skipped(`${programs.join(', ')}: not installed`)
      const folder = machine.path(folderOf(machine))
      const outcomes = registries.map((registry) => ensureFile(join(folder, registry, 'ca.crt'), pem))
      return {
        changed: outcomes.some(({ changed }) => changed),
        detail: outcomes.map(({ detail }) => detail).join(', '),
      }
    },
  }
}

/** Docker Desktop copies the home folder's certificates into its machine. */
export const docker = certsFolderTarget('docker', ['docker'], ({ platform, home }) =>
  platform === 'linux' ? '/etc/docker/certs.d' : join(home, '.docker', 'certs.d'),
)

export const podman = certsFolderTarget(
  'podman, buildah, skopeo',
  ['podman', 'buildah', 'skopeo'],
  ({ platform, isRoot, home }) =>
    platform === 'linux' && isRoot ? '/etc/containers/certs.d' : join(home, '.config', 'containers', 'certs.d'),
)
