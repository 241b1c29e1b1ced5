/**
 * The clients that the end-to-end tests drive, and where each can be had.
 * `install.ts` makes them available before the tests; the tests ask `index.ts`.
 */
import { type FoundClient, file, hostName, nodeProgram, program } from './find.ts'

export type Source =
  | { readonly kind: 'apt'; readonly package: string }
  | { readonly kind: 'go'; readonly module: string; readonly version: string }
  /** overrides: versions of what it depends on, by name. */
  | {
      readonly kind: 'npm'
      readonly package: string
      readonly version: string
      readonly overrides?: Readonly<Record<string, string>>
    }
  /** Delivered by no package registry: from PATH, or unpacked from the folder of binaries beside the repository. */
  | { readonly kind: 'binaries' }

export interface ClientEntry {
  readonly name: string
  readonly source: Source
  /** Looks for it as it is now; `undefined` when it is not there. */
  find(): Promise<FoundClient | undefined>
}

const apt = (name: string): Source => ({ kind: 'apt', package: name })
const go = (module: string, version: string): Source => ({ kind: 'go', module, version })

export const catalog = [
  { name: 'docker', source: apt('docker.io'), find: program('docker', '--version') },
  { name: 'dockerd', source: apt('docker.io'), find: program('dockerd', '--version') },
  { name: 'podman', source: apt('podman'), find: program('podman', '--version') },
  { name: 'buildah', source: apt('buildah'), find: program('buildah', '--version') },
  { name: 'skopeo', source: apt('skopeo'), find: program('skopeo', '--version') },
  { name: 'containerd', source: apt('containerd'), find: program('containerd', '--version') },
  { name: 'ctr', source: apt('containerd'), find: program('ctr', '--version') },
  { name: 'curl', source: apt('curl'), find: program('curl', '--version') },
  { name: 'openssl', source: apt('openssl'), find: program('openssl', 'version') },
  { name: 'nginx', source: apt('nginx-light'), find: program('nginx', '-v') },
  { name: 'sqlite3', source: apt('sqlite3'), find: program('sqlite3', '--version') },
  { name: 'newuidmap', source: apt('uidmap'), find: program('newuidmap') },
  { name: 'ca-certificates', source: apt('ca-certificates'), find: file('/etc/ssl/certs/ca-certificates.crt') },
  { name: '*.localhost', source: apt('libnss-myhostname'), find: hostName('berth.localhost') },
  {
    name: 'crane',
    source: go('github.com/google/go-containerregistry/cmd/crane', 'v0.22.1'),
    find: program('crane', 'version'),
  },
  {
    name: 'regctl',
    source: go('github.com/regclient/regclient/cmd/regctl', 'v0.11.7'),
    find: program('regctl', 'version'),
  },
  { name: 'helm', source: go('helm.sh/helm/v3/cmd/helm', 'v3.22.0'), find: program('helm', 'version', '--short') },
  {
    name: 'cosign',
    source: go('github.com/sigstore/cosign/v2/cmd/cosign', 'v2.6.5'),
    find: program('cosign', 'version'),
  },
  {
    name: 'versitygw',
    source: go('github.com/versity/versitygw/cmd/versitygw', 'v1.8.0'),
    find: program('versitygw'),
  },
  // A service like the one before it, with a few hundred dependencies that nothing else here needs.
  {
    name: 'azurite',
    source: {
      kind: 'npm',
      package: 'azurite',
      version: '3.37.0',
      // It only sends telemetry, which tests switch off; the newest version is not in every copy of the registry.
      overrides: { applicationinsights: '2.9.8' },
    },
    find: nodeProgram('azurite', 'dist/src/blob/main.js'),
  },
  { name: 'oras', source: { kind: 'binaries' }, find: program('oras', 'version') },
  { name: 'conformance', source: { kind: 'binaries' }, find: program('conformance') },
] as const satisfies readonly ClientEntry[]

export type ClientName = (typeof catalog)[number]['name']
