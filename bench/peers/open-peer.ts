import type { Registry } from './registry.ts'
import type { ServerProcess } from './server-process.ts'

type Own = Pick<Registry, 'kind' | 'folder' | 'seedManifests' | 'seedRepositories'>

/** A registry with auth off, as all but Berth are started. */
export function peerOf(port: number, server: ServerProcess, own: Own): Registry {
  return {
    ...own,
    url: `http://127.0.0.1:${port}`,
    get group() {
      return server.group
    },
    authorize: async () => undefined,
    start: server.start,
    stop: server.stop,
  }
}
